/**
 * Loaded into a process under test before its own code. `SHEAF_CHAOS` in its environment says in JSON what is to go wrong:
 * - `killBeforeRename`: the process (a worker thread included) kills itself just before it would put the so-manieth file into its place,
 *   when the new content lies beside the old;
 * - `killInAssembly`: the process kills itself in the thread that puts a model together, just before that reads the so-manieth object, or says
 *   that the model is made where it reads fewer; with `killAtEnd` only where it is the run's last, made from all sums;
 * - `clockOffsetHours`: the wall clock is wrong from the start;
 * - `clockJumps`: `[{ afterMs, hours }]`, the wall clock is set while the process runs; each jump is said on stderr.
 */
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { isMainThread, parentPort, workerData } from "node:worker_threads";

const {
  killBeforeRename,
  killInAssembly,
  killAtEnd = false,
  clockOffsetHours = 0,
  clockJumps = [],
} = JSON.parse(process.env.SHEAF_CHAOS ?? "{}");

if (killBeforeRename) {
  const { rename } = fs;
  let left = killBeforeRename;
  fs.rename = (...paths) => {
    if (--left === 0) process.kill(process.pid, "SIGKILL");
    return rename(...paths);
  };
  syncBuiltinESMExports();
}

const assembly = isMainThread ? undefined : workerData?.assembly;
if (killInAssembly && assembly && (!killAtEnd || assembly.sums.length === assembly.branches.length)) {
  const { open } = fs;
  let left = killInAssembly;
  fs.open = (...given) => {
    if (--left === 0) process.kill(process.pid, "SIGKILL");
    return open(...given);
  };
  syncBuiltinESMExports();
  parentPort.postMessage = () => process.kill(process.pid, "SIGKILL");
}

if (clockOffsetHours !== 0 || clockJumps.length > 0) {
  const hourMs = 3_600_000;
  const TrueDate = Date;
  let offsetMs = clockOffsetHours * hourMs;
  const now = () => TrueDate.now() + offsetMs;
  globalThis.Date = new Proxy(TrueDate, {
    construct: (target, given, newTarget) => Reflect.construct(target, given.length === 0 ? [now()] : given, newTarget),
    apply: () => new TrueDate(now()).toString(),
    get: (target, name) => (name === "now" ? now : Reflect.get(target, name)),
  });
  for (const { afterMs, hours } of clockJumps) {
    setTimeout(() => {
      offsetMs += hours * hourMs;
      if (isMainThread) process.stderr.write(`chaos: the clock jumps by ${hours} h\n`);
    }, afterMs).unref();
  }
}
