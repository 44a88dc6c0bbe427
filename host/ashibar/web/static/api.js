// Asks the host to do something, and puts its refusals into words for a person.

export class Refused extends Error {
  constructor(status, words) {
    super(sentence(words));
    this.status = status;
    this.confirm = Boolean(words.confirm);
  }
}

export async function post(path, content) {
  let answer;
  try {
    answer = await fetch(`/api/v1/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...content, from: "page" }),
    });
  } catch {
    throw new Refused(0, { expected: "an answer of the host", came: "none", do: "check the network and try again" });
  }
  const said = await answer.json();
  if (!answer.ok) throw new Refused(answer.status, said);
  return said;
}

export async function get(path) {
  const answer = await fetch(`/api/v1/${path}`);
  const said = await answer.json();
  if (!answer.ok) throw new Refused(answer.status, said);
  return said;
}

function sentence({ expected, came, do: remedy }) {
  if (came === "this request") return `${expected}.`;
  return `Expected: ${expected}. Came: ${came} ${/[.!?]$/.test(came) ? "" : "·"} ${remedy}.`.replace(/ · /, ". ").replace(/\.\.$/, ".");
}
