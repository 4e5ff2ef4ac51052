import { expect, it } from "vitest";
import { openWakes } from "./wakes.ts";

const never = new AbortController().signal;
const soon = (promise: Promise<void>): Promise<string> =>
  Promise.race([promise.then(() => "woken"), new Promise<string>((resolve) => setTimeout(() => resolve("waiting"), 20))]);

it("wakes by name, all of the name and no others", async () => {
  const wakes = openWakes();
  const [ann, ann2, bob] = ["ann", "ann", "bob"].map((name) => wakes.open(name).wait(60_000, never));
  wakes.wake("ann");
  expect(await Promise.all([ann, ann2, bob].map((promise) => soon(promise as Promise<void>)))).toEqual(["woken", "woken", "waiting"]);
  wakes.wakeAll();
  expect(await soon(bob as Promise<void>)).toBe("woken");
});

it("remembers a call that came before the waiting, and only that", async () => {
  const wakes = openWakes();
  wakes.wake("ann");
  const waiter = wakes.open("ann");
  wakes.wake("ann");
  expect(await soon(waiter.wait(60_000, never))).toBe("woken");
  expect(await soon(waiter.wait(60_000, never))).toBe("waiting");
});

it("ends after its time and by its signal, and forgets who has closed", async () => {
  const wakes = openWakes();
  const waiter = wakes.open("ann");
  await waiter.wait(1, never);
  const leaving = new AbortController();
  const waiting = waiter.wait(60_000, leaving.signal);
  leaving.abort();
  await waiting;
  await waiter.wait(60_000, leaving.signal);
  expect(wakes.size).toBe(1);
  waiter.close();
  waiter.close();
  expect(wakes.size).toBe(0);
});
