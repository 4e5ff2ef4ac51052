/** Coordinator and devices of a fleet killed with `kill -9`, each at moments of its own, and started again. */
import { unavailable } from "./fleet.mjs";
import { pause } from "./processes.mjs";
import { below, randomOf } from "./random.mjs";

/** In the writing of one of the files that a process puts into their place between its start and the end of training, `most` of them. */
const beforeRename = (most) => (random) => ({ killBeforeRename: 1 + below(random, most) });

/** While the thread that puts the model together reads results, or when it has put it together: more objects than a small fleet's model is made from. */
export const inAssembly = (random) => ({ killInAssembly: 1 + below(random, 10), killAtEnd: true });

/**
 * Phases of a device's life in their order: the line that begins one, for how long (at most) after it the kill may come, and the line that says that it is past.
 * Where `chaos` says so, the process kills itself instead, at a place in its code.
 */
const deviceMoments = [
  { name: "start", pattern: /^/, withinMs: 2500 },
  { name: "joined", pattern: /joined (again )?as/, withinMs: 300 },
  { name: "training", pattern: /(begins|goes on with) train-/, withinMs: 2500, past: /handed in train-|statistics-/ },
  { name: "writing", chaos: beforeRename(10), past: /handed in train-|statistics-/ },
  { name: "trained", pattern: /has made train-/, withinMs: 80, past: /handed in train-|statistics-/ },
  { name: "handed in", pattern: /handed in train-/, withinMs: 60, past: /(begins|goes on with) statistics-/ },
  { name: "summing", pattern: /(begins|goes on with) statistics-/, withinMs: 300, past: /handed in statistics-/ },
  { name: "summed", pattern: /has made statistics-/, withinMs: 60, past: /handed in statistics-/ },
  { name: "done", pattern: /handed in statistics-/, withinMs: 60 },
];

const coordinatorMoments = [
  { name: "start", pattern: /^/, withinMs: 2500 },
  { name: "open", pattern: /^To join/m, withinMs: 300 },
  { name: "enrolling", pattern: /has joined/, withinMs: 60, past: /planned: |works on|has done/ },
  { name: "planned", pattern: /planned: /, withinMs: 60, past: /has done|works on statistics-/ },
  { name: "training", pattern: /^To join/m, withinMs: 4000, past: /(works on|has done) statistics-/ },
  { name: "writing", chaos: beforeRename(3), past: /(works on|has done) statistics-/ },
  { name: "trained", pattern: /has done train-/, withinMs: 40, past: /(works on|has done) statistics-/ },
  { name: "statistics", pattern: /works on statistics-/, withinMs: 60, past: /has done statistics-|model is put together/ },
  { name: "summed", pattern: /has done statistics-/, withinMs: 40, past: /model is put together|is finished/ },
  { name: "assembly", chaos: inAssembly, past: /is finished/ },
  { name: "finished", pattern: /is finished/, withinMs: 40, past: /^SHA-256 /m },
];

/** `count` moments in the order of the phases: each of them once where there is room, the rest drawn. */
function draw(random, moments, count) {
  const extra = Array.from({ length: Math.max(0, count - moments.length) }, () => below(random, moments.length - 3));
  const first = [...moments.keys()];
  while (first.length > count) first.splice(below(random, first.length), 1);
  return [...first, ...extra].sort((a, b) => a - b).map((at) => moments[at]);
}

const foundNobody = async (running) => (await running.ended).code === unavailable && !/joined/.test(running.said());

/**
 * Waits for the moment in a process and kills it there, or somewhere when the moment is past. Resolves to the name of what it came to, to `again` for a process
 * that found nobody, to undefined when the run is over.
 */
async function killAt(running, { name, pattern, withinMs, past, chaos }, random, fleet) {
  const { index } = await Promise.race([running.firstOf(pattern, past), fleet.finished.then(() => ({ index: -2 }))]);
  if (index === -2) return undefined;
  if (index === -1 && (await foundNobody(running))) return "again";
  const isMissed = index === 1;
  if (chaos === undefined) await pause(random() * (isMissed ? 2000 : withinMs));
  const { code, signal } = await running.kill();
  if (signal !== "SIGKILL") throw new Error(`A process ended by itself with ${code ?? signal}:\n${running.said()}`);
  return isMissed ? "in mid-air" : name;
}

/** One process after another of the same kind, each killed at the next moment; the last one is left alive. */
async function torment({ start, moments, random, fleet, onKill, pauseMs }) {
  for (const moment of moments) {
    const chaos = moment.chaos?.(random);
    let running;
    let killed;
    do {
      running = await start(chaos);
      killed = await killAt(running, moment, random, fleet);
    } while (killed === "again");
    if (killed === undefined) {
      // One that was to kill itself would still do so.
      if (chaos === undefined) return;
      await running.kill();
      break;
    }
    onKill(killed);
    await pause(random() * pauseMs);
  }
  const last = await start();
  void last.ended.then(async () => (await foundNobody(last)) && start());
}

/**
 * Runs a fleet to its end with about `kills` kills: a quarter of the coordinator's, the others shared by the devices. `counts` is told each, by who and when.
 * Sometimes a process stays away for longer than its lease.
 */
export async function killAtMoments({ fleet, devices, kills, random, counts, report = () => undefined, pauseMs = 2500 }) {
  const coordinators = Math.max(1, Math.round(kills / 4));
  const each = Math.max(1, Math.ceil((kills - coordinators) / devices.length));
  const onKill = (who, name) => (moment) => {
    const key = `${who}: ${moment}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    report(`killed ${name} at ${moment}`);
  };
  // Each has chance of its own, so that what one draws does not depend on the order in which things happen.
  const victims = [
    {
      who: "coordinator",
      name: "coordinator",
      start: (chaos) => fleet.startCoordinator(chaos),
      all: coordinatorMoments,
      count: coordinators,
    },
    ...devices.map((device) => ({
      who: "device",
      name: device,
      start: (chaos) => fleet.startDevice(device, chaos),
      all: deviceMoments,
      count: each,
    })),
  ].map((victim) => ({ ...victim, random: randomOf(below(random, 2 ** 32)) }));
  await Promise.all(
    victims.map(({ who, name, start, all, count, random: chance }) =>
      torment({
        start,
        moments: draw(chance, all, count),
        random: chance,
        fleet,
        onKill: onKill(who, name),
        pauseMs,
      }),
    ),
  );
}
