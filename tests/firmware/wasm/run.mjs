// Runs a script on MicroPython for WebAssembly, whose ints are small up to 31 bits as on the chip:
// node run.mjs PACKAGE_DIR SCRIPT HOST_DIR=GUEST_DIR... -- ARGS. No sockets and no event loop of the chip there.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { join } from "node:path";

const [packageDir, script, ...rest] = process.argv.slice(2);
const dash = rest.indexOf("--");
const mounts = rest.slice(0, dash);
const args = rest.slice(dash + 1);
const place = "node_modules/@micropython/micropython-webassembly-pyscript/micropython.mjs";
const { loadMicroPython } = await import(pathToFileURL(join(packageDir, place)).href);
const micropython = await loadMicroPython({
  heapsize: 8 * 1024 * 1024,
  linebuffer: true,
  stdout: (line) => console.log(line),
});

function copy(from, to) {
  if (statSync(from).isDirectory()) {
    micropython.FS.mkdirTree(to);
    for (const name of readdirSync(from)) {
      if (name !== "__pycache__") copy(join(from, name), `${to}/${name}`);
    }
  } else {
    micropython.FS.writeFile(to, readFileSync(from));
  }
}

for (const mount of mounts) {
  const [from, to] = mount.split("=");
  copy(from, to);
}
const path = JSON.stringify([...mounts.map((mount) => mount.split("=")[1])]);
micropython.runPython(`import sys\nsys.path[:0] = ${path}\nsys.argv[:] = ${JSON.stringify([script, ...args])}\n`);
try {
  micropython.runPython(readFileSync(script, "utf8"));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
