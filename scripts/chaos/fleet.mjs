/** A fleet of processes on this machine, to which things are done, and what must hold of it afterwards whatever was done. */
import { readdirSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { eventually, runSheaf, startSheaf } from "./processes.mjs";
import { sha256Of } from "./singleRun.mjs";

/** Devices of a fleet, which all hold the same samples. */
export const deviceNames = ["ann", "bob", "cat"];

const data = "--data-set glyphs --train-count 300 --test-count 60".split(" ");
const often = "--set checkpointSeconds=0.1".split(" ");
/** So short that leases lapse and devices come back within the test; as many attempts as there may be kills. */
const policy = "--set serve.heartbeatSeconds=1 --set serve.leaseSeconds=5 --set serve.maximumAttempts=1000".split(" ");

/** So that a device is found at its training however fast this machine is; all alike, since the plan goes by their speeds. */
const slowly = ["--max-cpu", "0.3"];

/** Exit code of a device that is not enrolled yet and finds nobody for half a minute: it says so, and a person types the line again. */
export const unavailable = 10;

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Files below a folder, as paths relative to it; none where it is missing. */
function filesBelow(folder) {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1));
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
}

/** A device's record; undefined while there is none. */
function recordIn(stateFolder) {
  try {
    return JSON.parse(readFileSync(join(stateFolder, "agent.json"), "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Whether a device has nothing to do. It may keep a result that another was quicker with, lest it be asked for again. */
const isIdle = (stateFolder) => {
  const record = recordIn(stateFolder);
  return record !== undefined && record.work === undefined;
};

/**
 * A fleet in `folder`, nothing of which runs yet. `line` opens what lies between devices and the coordinator (see proxy.mjs), `storeIn` and `stateIn` say
 * where the coordinator and a device keep their state, where that is elsewhere.
 */
export async function openFleet({ folder, epochs, line: openLine, storeIn, stateIn }) {
  const port = await freePort();
  const line = await openLine?.(port);
  const store = storeIn ?? join(folder, "store");
  const out = join(folder, "out");
  await mkdir(folder, { recursive: true });
  let tellAddress;
  let tellFinished;
  const fleet = {
    folder,
    store,
    line,
    model: join(out, "model.onnx"),
    /** What devices are started with; known once a coordinator has said it. */
    address: new Promise((resolve) => {
      tellAddress = resolve;
    }),
    /** Resolves when the model is there. */
    finished: new Promise((resolve) => {
      tellFinished = resolve;
    }),
    isFinished: false,
    coordinator: undefined,
    /** The latest process of each device. */
    devices: new Map(),
    /** All processes that there were. */
    all: [],
    /** Folders of the devices that were there at the end. */
    statesInUse: [],
    stateOf: (device) => stateIn?.get(device) ?? join(folder, device),
    startCoordinator(chaos) {
      const settings = [
        "--network",
        "tiny",
        "--epochs",
        String(epochs),
        "--batch",
        "4",
        "--sub-width",
        "0.5",
        ...data,
        ...policy,
        ...often,
      ];
      const places = ["--store", store, "--out", out, "--port", String(port), "--set", `serve.minimumDevices=${deviceNames.length}`];
      const running = startSheaf(["serve", ...settings, ...places], { cwd: folder, chaos });
      fleet.coordinator = running;
      fleet.all.push({ name: "coordinator", running });
      running.firstOf(/^To join +sheaf join \S+#(\S+)$/m).then(
        ({ match }) => match && tellAddress(`http://127.0.0.1:${line?.port ?? port}#${match[1]}`),
        () => undefined,
      );
      running.firstOf(/^SHA-256 /m).then(
        ({ match }) => {
          if (!match) return;
          fleet.isFinished = true;
          tellFinished();
        },
        () => undefined,
      );
      return running;
    },
    /** Starts a device, with another state than its own where `state` says so. */
    async startDevice(device, chaos, state = fleet.stateOf(device)) {
      const identity = ["--state", state, "--name", device, "--profile", "raspberry-pi-4"];
      const running = startSheaf(["join", await fleet.address, ...data, ...often, ...slowly, ...identity], { cwd: folder, chaos });
      fleet.devices.set(device, running);
      fleet.all.push({ name: device, running, state });
      return running;
    },
    /** Waits for the model and for devices that have nothing left to do, and stops all in good order. */
    async finish() {
      await eventually(
        async () => {
          for (const [name, running] of fleet.devices)
            if (running.hasEnded() && ![null, unavailable].includes((await running.ended).code)) throw new Error(`${name} ended by itself`);
          return fleet.isFinished;
        },
        () => "there is no model",
      );
      line?.calm();
      const alive = fleet.all.filter(({ running }) => !running.hasEnded());
      for (const { name, state } of alive) {
        if (state === undefined) continue;
        fleet.statesInUse.push(state);
        await eventually(
          () => isIdle(state),
          () => `${name} is still at work`,
        );
      }
      for (const device of deviceNames) if (!alive.some(({ name }) => name === device)) throw new Error(`${device} ended by itself`);
      const rest = alive.reverse();
      for (const { name, running } of rest) {
        // One that was started just now does not yet know how to stop.
        await running.until(/^To join|joined/m);
        running.signal("SIGTERM");
        const { signal } = await running.ended;
        if (signal !== null) throw new Error(`${name} died of ${signal} instead of stopping:\n${running.said()}`);
      }
      await line?.close();
    },
    /** What all processes have said, for an error. */
    tell: () => fleet.all.map(({ name, running }) => `--- ${name}\n${running.said().slice(-3000)}`).join("\n"),
  };
  return fleet;
}

/** The state that a coordinator's log makes, read as the coordinator reads it, and its entries. */
async function readStore(store) {
  const [{ openSqliteStores }, { fold }, { emptyState }, { referencedObjects }] = await Promise.all(
    ["sqliteLog.node", "fold", "state", "spec"].map((name) => import(new URL(`../../dist/coordinator/${name}.js`, import.meta.url).href)),
  );
  const stores = await openSqliteStores(join(store, "log.sqlite"), (entry) => entry);
  try {
    let state = emptyState;
    const events = [];
    for await (const { event } of stores.log.read()) {
      state = fold(state, event);
      events.push(event);
    }
    return { events, referenced: referencedObjects(state) };
  } finally {
    await stores.close();
  }
}

const objectsIn = (store) => filesBelow(join(store, "objects")).map((path) => path.split("/").at(-1));

/**
 * Throws unless all that the log speaks of is stored, each with the bytes of its name. Resolves to what is there beside it: objects that nothing speaks of, and
 * uploads that were not finished.
 */
async function strayIn(store) {
  const { referenced } = await readStore(store);
  const stored = objectsIn(store);
  for (const name of referenced) if (!stored.includes(name)) throw new Error(`${store}: object ${name} is missing`);
  for (const name of stored)
    if (sha256Of(join(store, "objects", name.slice(0, 2), name)) !== name) throw new Error(`${store}: object ${name} is damaged`);
  return [...stored.filter((name) => !referenced.has(name)), ...filesBelow(join(store, "uploads"))];
}

/**
 * What must hold of a finished fleet: the expected model, a log that verifies, each task accepted once and no result refused, no half of a file anywhere, and a
 * day later no object and no upload that nothing speaks of. Resolves to the model's hash and how many of these there were before.
 */
export async function checkFleet(fleet, expectedSha256) {
  const { store, model } = fleet;
  const sha256 = sha256Of(model);
  if (expectedSha256 !== undefined && sha256 !== expectedSha256) throw new Error(`${model} is ${sha256}, expected ${expectedSha256}`);
  await runSheaf(["audit", "verify", "--store", store], { cwd: fleet.folder });
  const { events } = await readStore(store);
  const of = (type) => events.filter((event) => event.type === type);
  const accepted = of("lease.completed").map(({ taskId }) => taskId);
  const expected = of("phase.started").flatMap(({ tasks }) => tasks.map(({ taskId }) => taskId));
  if (accepted.length === 0 || [...accepted].sort().join() !== [...expected].sort().join())
    throw new Error(`${store}: accepted are ${accepted.join(", ")}, expected each of ${expected.join(", ")} once`);
  for (const wrong of [...of("upload.quarantined"), ...of("task.givenUp"), ...of("run.failed")])
    throw new Error(`${store}: ${JSON.stringify(wrong)}`);
  const stray = await strayIn(store);
  if (stray.length > 0) {
    const again = fleet.startCoordinator({ clockOffsetHours: 24 });
    await again.until(/^SHA-256 /m);
    again.signal("SIGTERM");
    await again.ended;
    const left = await strayIn(store);
    if (left.length > 0) throw new Error(`${store}: never removed: ${left.join(", ")}`);
  }
  for (const folder of [store, join(fleet.folder, "out"), ...fleet.statesInUse]) {
    const left = filesBelow(folder).filter((path) => /\.(tmp|part)$/.test(path));
    if (left.length > 0) throw new Error(`${folder}: left behind: ${left.join(", ")}`);
  }
  for (const state of fleet.statesInUse) {
    if (recordIn(state).made !== undefined) continue;
    const left = filesBelow(state).filter((path) => /^(checkpoints|objects)\//.test(path));
    if (left.length > 0) throw new Error(`${state}: left behind: ${left.join(", ")}`);
  }
  return { sha256, collected: stray.length };
}
