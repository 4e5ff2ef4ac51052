/**
 * What can be done to a fleet. Each counts in `counts` what was really done, so that a fault which did not take place is no success. Some can be done to one
 * fleet at once: they look for different victims.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { deviceNames } from "./fleet.mjs";
import { inAssembly, killAtMoments } from "./kills.mjs";
import { eventually, pause, startSheaf } from "./processes.mjs";
import { faultNames, openBadLine } from "./proxy.mjs";
import { below } from "./random.mjs";

const note = (counts, what, by = 1) => counts.set(what, (counts.get(what) ?? 0) + by);

/** Whether this machine lets us mount small file systems, which a full disk needs. */
export const canMount =
  process.platform === "linux" &&
  process.getuid?.() === 0 &&
  spawnSync("sh", ["-c", 'd=$(mktemp -d) && mount -t tmpfs -o size=64k tmpfs "$d" && umount "$d" && rmdir "$d"']).status === 0;

const mounted = new Set();

/** Unmounts what is left, for a program that is stopped in the middle. */
export function unmountAll() {
  for (const folder of mounted) spawnSync("umount", ["-l", folder]);
  mounted.clear();
}

/** A disk of its own in a folder, which can be filled to the last byte and given room again. */
async function mountDisk(folder) {
  await mkdir(folder, { recursive: true });
  const mount = (...args) => execFileSync("mount", [...args, folder]);
  mount("-t", "tmpfs", "-o", "size=600m", "tmpfs");
  mounted.add(folder);
  const size = (bytes) => mount("-o", `remount,size=${bytes}`);
  return {
    folder,
    /** Leaves no room but what is in use. */
    fill() {
      for (let slack = 0; ; slack += 4096) {
        const used = Number(execFileSync("df", ["--output=used", "-B1", folder]).toString().split("\n")[1]);
        try {
          return size(Math.max(4096, used + slack));
        } catch (error) {
          // Something was written meanwhile.
          if (slack > 65_536) throw error;
        }
      }
    },
    free: () => size("600m"),
    unmount() {
      mounted.delete(folder);
      spawnSync("umount", ["-l", folder]);
    },
  };
}

/** Jumps to and fro, so that no clock is wrong by a day, after which join tokens expire. */
const jumps = (random, count) =>
  Array.from({ length: count }, (_, i) => ({
    afterMs: 800 + i * 1000 + below(random, 800),
    hours: (i % 2 === 0 ? 1 : -1) * (1 + below(random, 9)),
  }));

/** How often the processes of a name said that their clock jumped. */
const jumpsOf = (fleet, name) =>
  fleet.all
    .filter((started) => started.name === name)
    .reduce((sum, { running }) => sum + (running.said().match(/chaos: the clock jumps/g)?.length ?? 0), 0);

/** Waits until a device trains; fails at once where it is past that, and what was to be done to it then comes too late. */
async function foundTraining(running) {
  const { index } = await running.firstOf(/training: epoch/, /has made train-/);
  if (index !== 0) throw new Error(`The device was never found at its training:\n${running.said()}`);
}

/** How often each clock jumps at least. */
const leastJumps = 2;

/**
 * All disturbances by name. `open` makes what the fleet needs from its beginning, `chaos` is what a process is started with, `act` does its work once all
 * is started (or starts all itself, where `startsAll` says so), `count` looks at the end, and `least` says what has to have happened how often.
 */
export const disturbances = {
  peace: {
    title: "nothing",
    least: () => ({}),
    async act() {},
  },
  kills: {
    title: "kill -9",
    startsAll: true,
    least: ({ kills }) => ({ kills }),
    async act({ fleet, random, counts, kills, report }) {
      await killAtMoments({ fleet, devices: deviceNames, kills: Math.ceil(kills * 1.5), random, counts, report });
      note(
        counts,
        "kills",
        [...counts.values()].reduce((sum, count) => sum + count, 0),
      );
    },
  },
  assembly: {
    title: "kill -9 while a model is put together",
    least: () => ({ "in a harvest": 1, "at the end": 1 }),
    async act({ fleet, random, counts, report }) {
      const killed = async (what) => {
        const { signal } = await fleet.coordinator.ended;
        if (signal !== "SIGKILL") throw new Error(`The coordinator was not killed in its assembly:\n${fleet.coordinator.said()}`);
        note(counts, what);
        report?.(`killed coordinator ${what}`);
      };
      await fleet.coordinator.until(/has done train-/);
      // With chances of its own in the place of the one that runs: a harvest is of what is there by now.
      await fleet.coordinator.kill();
      await fleet.startCoordinator({ killInAssembly: 1 + below(random, 2) }).until(/^To join/m);
      startSheaf(["harvest", "--store", fleet.store], { cwd: fleet.folder });
      await killed("in a harvest");
      fleet.startCoordinator(inAssembly(random));
      await killed("at the end");
      fleet.startCoordinator();
    },
  },
  line: {
    title: "bad line",
    open: ({ random }) => ({ line: (targetPort) => openBadLine({ targetPort, random }) }),
    least: () => Object.fromEntries(faultNames.map((name) => [name, 1])),
    async act() {},
    count({ fleet, counts }) {
      for (const [name, count] of fleet.line.counts) note(counts, name, count);
    },
  },
  clock: {
    title: "clock jumps",
    least: () => ({ "coordinator's clock": leastJumps, "devices' clocks": leastJumps * deviceNames.length, "clock set while down": 2 }),
    chaos: ({ random }) => ({ clockJumps: jumps(random, 4) }),
    async act({ fleet, random, counts }) {
      // Set while a process is down, once at each end.
      const ann = fleet.devices.get("ann");
      await foundTraining(ann);
      for (const [running, startAgain] of [
        [ann, (chaos) => fleet.startDevice("ann", chaos)],
        [fleet.coordinator, (chaos) => fleet.startCoordinator(chaos)],
      ]) {
        await running.kill();
        const hours = 1 + below(random, 9);
        await startAgain({ clockOffsetHours: random() < 0.5 ? hours : -hours, clockJumps: jumps(random, 2) });
        note(counts, "clock set while down");
      }
      for (const name of ["coordinator", ...deviceNames]) {
        await eventually(
          () => jumpsOf(fleet, name) >= leastJumps,
          () => `the clock of ${name} has not jumped`,
        );
      }
    },
    count({ fleet, counts }) {
      note(counts, "coordinator's clock", jumpsOf(fleet, "coordinator"));
      for (const device of deviceNames) note(counts, "devices' clocks", jumpsOf(fleet, device));
    },
  },
  coordinatorDisk: {
    title: "the coordinator's disk full",
    skip: () => (canMount ? undefined : "no right to mount a file system"),
    async open({ folder }) {
      const coordinatorDisk = await mountDisk(join(folder, "disk"));
      return { storeIn: join(coordinatorDisk.folder, "store"), disks: { coordinatorDisk } };
    },
    least: () => ({ "coordinator's disk full": 1 }),
    async act({ fleet, disks: { coordinatorDisk }, random, counts }) {
      // Once while devices train, so that nothing they hand in can be kept, and once when they sum, where that is not over before.
      for (const line of [/works on train-/, /works on statistics-/]) {
        await fleet.coordinator.until(line);
        const before = fleet.coordinator.said().length;
        const isTold = () => /disk is full|little room|no room/i.test(fleet.coordinator.said().slice(before));
        coordinatorDisk.fill();
        await eventually(
          () => isTold() || fleet.isFinished,
          () => "the coordinator has no word of a full disk",
        );
        if (isTold()) note(counts, "coordinator's disk full");
        await pause(500 + random() * 1500);
        coordinatorDisk.free();
        // Who was told of the full disk comes again in a minute; who is started again, at once.
        for (const device of deviceNames) {
          await fleet.devices.get(device).kill();
          await fleet.startDevice(device);
        }
      }
    },
  },
  deviceDisk: {
    title: "a device's disk full",
    skip: () => (canMount ? undefined : "no right to mount a file system"),
    async open({ folder }) {
      const deviceDisk = await mountDisk(join(folder, "small"));
      return { stateIn: new Map([["cat", join(deviceDisk.folder, "cat")]]), disks: { deviceDisk } };
    },
    least: () => ({ "device's disk full": 1 }),
    async act({ fleet, disks: { deviceDisk }, counts }) {
      const cat = fleet.devices.get("cat");
      await cat.until(/begins train-/);
      deviceDisk.fill();
      await cat.until(/disk is full/);
      note(counts, "device's disk full");
      await cat.until(/handed in train-/);
      deviceDisk.free();
    },
  },
  twins: {
    title: "two agents with one identity",
    least: () => ({ "second agent refused": 1, "copies at work on one lease": 1 }),
    async act({ fleet, counts }) {
      const bob = fleet.devices.get("bob");
      await foundTraining(bob);
      // Asleep, so that the copy has the time to come as far.
      bob.signal("SIGSTOP");
      const second = startSheaf(["join", await fleet.address, "--data-set", "glyphs", "--state", fleet.stateOf("bob")], {
        cwd: fleet.folder,
      });
      const { code } = await second.ended;
      if (code !== 0 && /Another agent is using .*give this one a folder of its own/.test(second.said()))
        note(counts, "second agent refused");
      const copied = join(fleet.folder, "copy-of-bob");
      await cp(fleet.stateOf("bob"), copied, { recursive: true });
      const copy = await fleet.startDevice("bob", undefined, copied);
      const { index } = await copy.firstOf(/goes on with train-bob/);
      bob.signal("SIGCONT");
      if (index === 0 && !/handed in train-bob/.test(copy.said())) note(counts, "copies at work on one lease");
    },
  },
  staleCopy: {
    title: "an agent started with an old copy of its state",
    least: () => ({ "old copy taken up": 1 }),
    async act({ fleet, counts }) {
      const ann = fleet.devices.get("ann");
      await foundTraining(ann);
      // Asleep, so that no file of it goes away while it is copied.
      ann.signal("SIGSTOP");
      const copied = join(fleet.folder, "backup-of-ann");
      await cp(fleet.stateOf("ann"), copied, { recursive: true });
      ann.signal("SIGCONT");
      await ann.until(/handed in train-ann/);
      await ann.kill();
      const restored = await fleet.startDevice("ann", undefined, copied);
      await restored.until(/goes on with train-ann/);
      note(counts, "old copy taken up");
    },
  },
};
