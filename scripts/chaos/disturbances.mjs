/**
 * What can be done to a fleet beside killing it. Each takes a fleet of which nothing runs, starts it and lets it come to its end, and counts in `counts` what was
 * really done, so that a fault which did not take place is no success.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { killAtMoments } from "./kills.mjs";
import { eventually, pause, startSheaf } from "./processes.mjs";
import { faultNames, openBadLine } from "./proxy.mjs";
import { below } from "./random.mjs";
import { deviceNames } from "./fleet.mjs";

const note = (counts, what, by = 1) => counts.set(what, (counts.get(what) ?? 0) + by);

/** Whether this machine lets us mount small file systems, which a full disk needs. */
export const canMount =
  process.platform === "linux" &&
  process.getuid?.() === 0 &&
  spawnSync("sh", ["-c", 'd=$(mktemp -d) && mount -t tmpfs -o size=64k tmpfs "$d" && umount "$d" && rmdir "$d"']).status === 0;

/** A disk of its own in a folder, which can be filled to the last byte and given room again. */
async function mountDisk(folder) {
  await mkdir(folder, { recursive: true });
  const mount = (...args) => execFileSync("mount", [...args, folder]);
  mount("-t", "tmpfs", "-o", "size=600m", "tmpfs");
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
    unmount: () => spawnSync("umount", ["-l", folder]),
  };
}

const jumps = (random, count, firstMs) =>
  Array.from({ length: count }, (_, i) => ({
    afterMs: firstMs + i * 1500 + below(random, 1500),
    hours: (i % 2 === 0 ? 1 : -1) * (1 + below(random, 9)),
  }));

/** Jumps of the clock that a process said. */
const jumpsOf = (fleet, name) =>
  fleet.all
    .filter((started) => started.name === name)
    .reduce((sum, { running }) => sum + (running.said().match(/chaos: the clock jumps/g)?.length ?? 0), 0);

/** `true` for each line that one of a fleet's processes has said. */
const hasSaid = (fleet, name, pattern) => fleet.all.some((started) => started.name === name && pattern.test(started.running.said()));

/**
 * All disturbances by name: what a fleet needs for it when it is opened, and what is done. `least` says what has to have happened how often.
 */
export const disturbances = {
  peace: {
    title: "nothing",
    least: () => ({}),
    async act({ fleet }) {
      fleet.startCoordinator();
      await fleet.startDevices();
    },
  },
  kills: {
    title: "kill -9",
    least: ({ kills }) => ({ kills }),
    async act({ fleet, random, counts, kills, report }) {
      await killAtMoments({ fleet, devices: deviceNames, kills: Math.ceil(kills * 1.25), random, counts, report });
      const all = [...counts].filter(([what]) => /^(coordinator|device): /.test(what)).reduce((sum, [, count]) => sum + count, 0);
      counts.set("kills", all);
    },
  },
  line: {
    title: "bad line",
    open: ({ random, rate }) => ({ line: (targetPort) => openBadLine({ targetPort, random, rate }) }),
    least: ({ each = 1 }) => Object.fromEntries(faultNames.map((name) => [name, each])),
    async act({ fleet, counts }) {
      fleet.startCoordinator();
      await fleet.startDevices();
      await fleet.finished;
      for (const [name, count] of fleet.line.counts) note(counts, name, count);
    },
  },
  clock: {
    title: "clock jumps",
    least: () => ({ "coordinator's clock": 2, "devices' clocks": 2 * deviceNames.length, "clock set while down": 2 }),
    async act({ fleet, random, counts }) {
      fleet.startCoordinator({ clockJumps: jumps(random, 4, 1500) });
      await fleet.startDevices(() => ({ clockJumps: jumps(random, 4, 1500) }));
      // Set while a process is down, once at each end.
      await fleet.devices.get("ann").until(/training: epoch/);
      for (const [stop, start] of [
        [fleet.devices.get("ann"), (chaos) => fleet.startDevice("ann", chaos)],
        [fleet.coordinator, (chaos) => fleet.startCoordinator(chaos)],
      ]) {
        await stop.kill();
        const hours = 1 + below(random, 9);
        await start({ clockOffsetHours: random() < 0.5 ? hours : -hours, clockJumps: jumps(random, 2, 1500) });
        note(counts, "clock set while down");
      }
      await fleet.finished;
      note(counts, "coordinator's clock", jumpsOf(fleet, "coordinator"));
      for (const device of deviceNames) note(counts, "devices' clocks", jumpsOf(fleet, device));
    },
  },
  coordinatorDisk: {
    title: "the coordinator's disk full",
    skip: () => (canMount ? undefined : "no right to mount a file system"),
    async open({ folder }) {
      const disk = await mountDisk(join(folder, "disk"));
      return { storeIn: join(disk.folder, "store"), disk };
    },
    least: () => ({ "disk full": 2 }),
    async act({ fleet, disk, random, counts }) {
      fleet.startCoordinator();
      await fleet.startDevices();
      const isRefused = () =>
        deviceNames.filter((device) => hasSaid(fleet, device, /is tried again.*(full|room|storage|internal|disk|507|500)/i)).length;
      // Once while devices train, so that nothing they hand in can be kept, and once in the middle of the rest.
      for (const line of [/works on train-/, /phase statistics/]) {
        await fleet.coordinator.until(line);
        const before = fleet.coordinator.said().length;
        disk.fill();
        await eventually(
          () => fleet.isFinished || /full/i.test(fleet.coordinator.said().slice(before)) || isRefused() > 0,
          () => `no word of a full disk:\n${fleet.tell()}`,
        );
        await pause(500 + random() * 2000);
        if (!fleet.isFinished) note(counts, "disk full");
        disk.free();
      }
    },
  },
  deviceDisk: {
    title: "a device's disk full",
    skip: () => (canMount ? undefined : "no right to mount a file system"),
    async open({ folder }) {
      const disk = await mountDisk(join(folder, "small"));
      return { stateIn: new Map([["bob", join(disk.folder, "bob")]]), disk };
    },
    least: () => ({ "disk full": 1 }),
    async act({ fleet, disk, counts }) {
      fleet.startCoordinator();
      await fleet.startDevices();
      const bob = fleet.devices.get("bob");
      await bob.until(/begins train-/);
      disk.fill();
      await bob.until(/disk is full/);
      note(counts, "disk full");
      await bob.until(/handed in train-/);
      disk.free();
    },
  },
  twins: {
    title: "two agents with one identity",
    least: () => ({ "second agent refused": 1, "copies at work on one lease": 1 }),
    async act({ fleet, counts }) {
      fleet.startCoordinator();
      await fleet.startDevices();
      const bob = fleet.devices.get("bob");
      await bob.until(/begins train-/);
      await bob.until(/training: epoch/);
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
      await copy.until(/goes on with train-bob/);
      const wasOpen = !/handed in train-bob/.test(copy.said());
      bob.signal("SIGCONT");
      if (wasOpen) note(counts, "copies at work on one lease");
    },
  },
  staleCopy: {
    title: "an agent started with an old copy of its state",
    least: () => ({ "old copy taken up": 1 }),
    async act({ fleet, counts }) {
      fleet.startCoordinator();
      await fleet.startDevices();
      const bob = fleet.devices.get("bob");
      await bob.until(/begins train-/);
      await bob.until(/training: epoch/);
      const copied = join(fleet.folder, "backup-of-bob");
      await cp(fleet.stateOf("bob"), copied, { recursive: true });
      await bob.until(/handed in train-bob/);
      await bob.kill();
      const restored = await fleet.startDevice("bob", undefined, copied);
      await restored.until(/goes on with train-bob/);
      note(counts, "old copy taken up");
    },
  },
};
