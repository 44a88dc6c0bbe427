"""Chaos: `python tests/firmware/chaos/chaos_run.py [--minutes 30] [--seed S] [--nodes N] [--plan]`.

Real nodes on virtual boards, a real broker and a real host in real time; all that can fail does, by a plan
drawn from the seed (`--plan` prints it). Exit status 1: a sample is unexplained, memory grew, a node is ill.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1])]

import chaos_account as account  # noqa: E402 - a script, too
import chaos_plan as plan  # noqa: E402 - a script, too
from chaos_stack import ChaosStack  # noqa: E402 - a script, too
from chaos_words import bad_message  # noqa: E402 - a script, too
from servers import wait_until  # noqa: E402 - a script, too

EXPECTED_LINES = (
    "link: ", "command: cannot be read", "committed: cannot be read", "display: cannot be read",
    "state: cannot be read", "memory ", "shows ", "twin: ", '{"',
)  # fmt: skip
SMALL_BACKLOG = 330  # frames, 25 s: outages of minutes are decimated and dropped within a campaign
QUIET_S = 30.0
PATIENCE_S = 20.0  # what was held is delivered, once more where the broker lost it
LONG_QUIET_S = 25.0  # two reports of health and some
LEAST_HZ, MOST_HZ = 64, 84  # a machine that is short of time loses conversions, as the chip would
MEMORY_STEP = 4096  # bytes: names that stay interned after the first of each command
LONG_RUN_MIN = 5


@dataclass
class Outcome:
    """What a campaign came to, node by node."""

    accounts: dict = field(default_factory=dict)
    control: object = None  # of the node that has to lose samples
    problems: list = field(default_factory=list)
    memory: dict = field(
        default_factory=dict
    )  # name -> (seconds of the longest boot, bytes early, bytes late)
    faults: Counter = field(default_factory=Counter)
    resets: int = 0


class Player:
    """Plays steps on a stack in real time, each lane (servers, and each node's wire, cells ...) as it
    comes."""

    def __init__(self, stack, steps):
        self.stack, self.steps = stack, steps
        self.done = Counter()
        self._begin_s = time.monotonic()
        self._servers = threading.Lock()

    def play(self):
        """Until the last step is over; faults of different lanes overlap as planned."""
        slow = [step for step in self.steps if step.who == 0]
        wires = {}
        for step in self.steps:
            if step.fault in plan.WIRE:
                wires.setdefault(step.who, []).append(step)
        rest = [step for step in self.steps if step.who and step.fault not in plan.WIRE]
        lanes = [slow, rest, *wires.values()]
        failures = []
        threads = [threading.Thread(target=self._lane, args=(each, failures)) for each in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def _lane(self, steps, failures):
        try:
            for step in steps:
                self._until(step.at_s)
                self.done[step.fault] += 1
                self._do(step)
        except Exception as error:  # noqa: BLE001 - told to whoever waits for all lanes
            failures.append(error)

    def _until(self, at_s):
        time.sleep(max(0.0, self._begin_s + at_s - time.monotonic()))

    def _do(self, step):
        if step.who == 0:
            self._servers_fault(step)
            return
        node = self.stack.nodes[step.who]
        if step.fault in plan.WIRE:
            self._wire_fault(node, step)
        elif step.fault in plan.CELLS:
            node.order(do="fault", fault=step.fault, cell=step.choice % 4, for_s=step.for_s)
        elif step.fault == "bad message":
            self.stack.listener.send(node.name, *bad_message(step.choice, node.boot))
        elif step.fault == "power cut":
            node.cut_power()
        else:
            request = b'{"id": "reboot-%d", "command": "reboot"}' % step.choice
            self.stack.listener.send(node.name, "command", request)

    def _servers_fault(self, step):
        broker, host, end_s = self.stack.broker, self.stack.host, step.at_s + step.for_s
        if step.fault == "freeze broker":
            broker.signal(signal.SIGSTOP)
            self._until(end_s)
            broker.signal(signal.SIGCONT)
        elif step.fault == "cut host":
            self.stack.host_wire.refuse = True
            self.stack.host_wire.cut()
            self._until(end_s)
            self.stack.host_wire.refuse = False
        elif step.fault == "kill broker":
            broker.kill()
            self._until(end_s)
            patiently(broker)
        else:
            host.kill()
            if step.fault == "kill both":
                self._until(step.at_s + 0.7 * step.for_s)
                broker.kill()
                patiently(broker)
            self._until(end_s)
            patiently(host)

    def _wire_fault(self, node, step):
        wire, end_s = node.wire, step.at_s + step.for_s
        if step.fault == "slow broker":
            wire.delay_s = 0.05 + step.choice % 8 * 0.05
            self._until(end_s)
            wire.delay_s = 0.0
            return
        if step.fault == "half-open":
            wire.stalled = True
            self._until(end_s)
            wire.cut()
            wire.stalled = False
            return
        wire.refuse = step.fault != "cut"
        if step.fault == "network gone":
            node.order(do="network", up=False)
        wire.cut()
        self._until(end_s)
        wire.refuse = False
        if step.fault == "network gone":
            node.order(do="network", up=True)


def patiently(process):
    """Start a server, however busy the machine is."""
    try:
        process.start()
    except AssertionError:
        process.ended()
        wait_until(process.ready, f"{process.command()[:2]} on a busy machine", 60)


def planned(seed, minutes, nodes, quiet_s):
    """Return the steps for nodes 1 to `nodes`; every second one is reset as well."""
    numbers = range(1, nodes + 1)
    return plan.draw(
        seed, numbers, set(numbers[1::2]), minutes * 60 - quiet_s, long_run=minutes > LONG_RUN_MIN
    )


def campaign(micropython, folder, seed, minutes, *, nodes=2, quiet_s=8.0, forgetful=False, log=print):
    """Play one campaign; every second node is reset as well. `forgetful` adds a node that has to lose
    samples."""
    settings = {n: {} if n % 2 else {"backlog_frames": SMALL_BACKLOG} for n in range(1, nodes + 1)}
    if forgetful:
        settings[nodes + 1] = {"forgetful": True}
    steps = planned(seed, minutes, nodes, quiet_s)
    stack = ChaosStack(micropython, folder, settings)
    try:
        stack.start()
        player = Player(stack, steps)
        player.play()
        log(f"seed {seed}: {sum(player.done.values())} faults, now peace")
        outcome = Outcome(faults=player.done)
        outcome.resets = sum(len(node.boots) - 1 for node in stack.nodes.values())
        _expect_well(stack, outcome, quiet_s)
        _stop_and_judge(stack, outcome)
        return outcome
    finally:
        stack.stop()


def _expect_well(stack, outcome, quiet_s):
    """After the last fault each node is well within `quiet_s`: its rate, its weights, its figure on the
    page."""
    begin_s = time.monotonic()
    problems = ["not looked at"]
    while problems and time.monotonic() - begin_s < quiet_s + PATIENCE_S:
        problems = _look(stack)
    time.sleep(max(0.0, begin_s + quiet_s - time.monotonic()) if quiet_s >= LONG_QUIET_S else 0.0)
    outcome.problems += problems
    for node in stack.nodes.values():
        outcome.problems += _still_growing(node.name, stack.listener.since(node.name, "health", begin_s + 1))


def _look(stack):
    """Watch for 2 s; return what is not well."""
    nodes = stack.nodes.values()
    before = {
        node.name: account.read_taken(node.accounts, node.name).get(node.boot, (0,))[0] for node in nodes
    }
    began_s = time.monotonic()
    time.sleep(2.0)
    problems = []
    for node in nodes:
        after = account.read_taken(node.accounts, node.name).get(node.boot, (0,))[0]
        rate_hz = (after - before[node.name]) / (time.monotonic() - began_s)
        if not LEAST_HZ < rate_hz < MOST_HZ:
            problems.append(f"{node.name}: 80 samples a second expected, {rate_hz:.1f} came")
        words = [said["validity"] for said in stack.listener.since(node.name, "weight", began_s)]
        if words.count("valid") < 6:
            problems.append(f"{node.name}: valid weights expected, {words} came")
        if node.shows()["behind"]:
            problems.append(f"{node.name}: all but the newest frames confirmed expected, more are held")
        if stack.figure(node.name) is None:
            problems.append(f"{node.name}: a figure expected on the page, none is there")
    return problems


def _still_growing(name, healths):
    """Return the counters of faults that grow although there is peace; the machine is allowed a few late
    reads."""
    if len(healths) < 2:
        return []
    one, other = healths[-2:]
    allowed = 0.05 * (other["samples"] - one["samples"])
    grown = {each: other[each] - one[each] for each in ("reconnects", "dropped")}
    grown |= {
        each: max(b - a for a, b in zip(one[each], other[each], strict=True)) - allowed
        for each in ("not_ready", "desync", "saturated")
    }
    return [f"{name}: {each} still grows" for each, by in grown.items() if by > 0]


def _stop_and_judge(stack, outcome):
    wait_until(stack.settled, "final stamps", 60, 0.2)
    for node in stack.nodes.values():
        outcome.memory[node.name] = memory_of(node.lines)
        counters = node.finish()
        if counters["held"]:
            outcome.problems.append(f"{node.name}: nothing held at the end expected, {counters['held']} came")
        judged = account.judge(stack.host.journal, node.accounts, node.name, counters["boot"])
        if node.forgetful:
            outcome.control = judged
            continue
        outcome.accounts[node.name] = judged
        outcome.problems += [f"{node.name}: {note}" for note in judged.notes]
        outcome.problems += [f"{node.name}: {line}" for line in unexpected(node.lines)]
        _, early, late = outcome.memory[node.name]
        if late > early + MEMORY_STEP:
            outcome.problems.append(f"{node.name}: memory grew from {early} to {late} bytes")


def unexpected(lines):
    """Return what a node said that no fault of the plan explains: tracebacks above all."""
    return [line for line in lines if line and not line.startswith(EXPECTED_LINES)]


def memory_of(lines):
    """Return seconds of the longest boot, and the heap in use in its second and in its last quarter, at its
    least while connected: a connection takes some, and a short quarter may lie wholly inside or outside."""
    boots = [[]]
    for line in lines:
        if '"event": "boot"' in line:
            boots.append([])
        elif line.startswith("memory "):
            _, used, link = line.split()
            boots[-1].append(int(used) if link == "connected" else None)
    longest = max(boots, key=len)
    quarter = len(longest) // 4
    early, late = (
        [used for used in part if used is not None]
        for part in (longest[quarter : 2 * quarter], longest[len(longest) - quarter :])
    )
    return 2 * len(longest), *((min(early), min(late)) if early and late else (0, 0))


def report(outcome):
    """Return the table of a campaign, as docs/faults-at-the-node.md has it."""
    columns = account.HEADER.count("|") + 1
    lines = [f"| node | {account.HEADER} |", f"|---|{'---|' * columns}"]
    lines += [f"| {name} | {judged.row()} |" for name, judged in outcome.accounts.items()]
    lines += [""]
    lines += [
        f"Heap in use of {name}, longest boot ({seconds / 60:.1f} min): {early} bytes early, {late} late."
        for name, (seconds, early, late) in outcome.memory.items()
    ]
    faults = ", ".join(f"{fault} {count}" for fault, count in sorted(outcome.faults.items()))
    return "\n".join([*lines, "", f"Faults: {faults}; {outcome.resets} resets."])


def find_micropython():
    local = HERE.parents[2] / ".tools/bin/micropython"
    return str(local) if local.exists() else shutil.which("micropython")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--plan", action="store_true", help="print the plan and do nothing")
    parser.add_argument("--folder", type=Path, help="an empty one, kept: journal, accounts and logs")
    options = parser.parse_args()
    if options.plan:
        for step in planned(options.seed, options.minutes, options.nodes, QUIET_S):
            print(step.words())
        return 0
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        where = options.folder or Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        outcome = campaign(
            find_micropython(), where, options.seed, options.minutes, nodes=options.nodes, quiet_s=QUIET_S
        )
    print(report(outcome))
    print("\n".join(outcome.problems) or "no problems")
    good = not outcome.problems and all(each.good for each in outcome.accounts.values())
    print("every sample is accounted for" if good else "FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
