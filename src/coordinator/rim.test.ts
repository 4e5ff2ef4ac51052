/** The small parts of the rim: rate limits, metrics, logs, tokens, ranges. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openAccessTokens } from "./accessTokens.ts";
import { fromBase64Url, toBase64Url } from "./bytes.ts";
import { rateLimiter } from "./limits.ts";
import { openLog } from "./log.ts";
import { openMetrics } from "./metrics.ts";
import { limitedBody, parseRange } from "./requests.ts";

describe("rate limiter", () => {
  it("never lets through more than the burst and what time gives, whatever the clock does", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -500, max: 2000 }), { maxLength: 100 }), (steps) => {
        let now = 1_000_000;
        let forwardMs = 0;
        let passed = 0;
        const limiter = rateLimiter({ perSecond: 2, burst: 5 }, () => now);
        for (const step of steps) {
          now += step;
          forwardMs += Math.max(0, step);
          if (limiter.take("a") === 0) passed++;
        }
        expect(passed).toBeLessThanOrEqual(5 + (forwardMs / 1000) * 2);
      }),
    );
  });

  it("says how long to wait, truly", () => {
    let now = 0;
    const limiter = rateLimiter({ perSecond: 3, burst: 1 }, () => now);
    expect(limiter.take("a")).toBe(0);
    const wait = limiter.take("a");
    now += wait - 1;
    expect(limiter.wait("a")).toBeGreaterThan(0);
    now += 1;
    expect(limiter.wait("a")).toBe(0);
    expect(limiter.take("a")).toBe(0);
  });

  it("forgets the callers longest unseen and stays bounded", () => {
    const limiter = rateLimiter({ perSecond: 1, burst: 1 }, () => 0);
    for (let i = 0; i < 60_000; i++) limiter.take(`${i}`);
    expect(limiter.size).toBe(50_000);
    expect(limiter.take("59999")).toBeGreaterThan(0);
    expect(limiter.take("0")).toBe(0);
  });
});

describe("metrics", () => {
  it("are what Prometheus reads", () => {
    const metrics = openMetrics();
    const counter = metrics.counter("a_total", "Counts\nthings.");
    counter.add({ path: 'x"y\\z\n' });
    counter.add({ path: 'x"y\\z\n' }, 2);
    metrics.gauge("b", "Now.", () => [
      [{ kind: "one" }, 1],
      [{ kind: "two" }, 2.5],
    ]);
    const histogram = metrics.histogram("c_seconds", "Took.", [1, 2]);
    for (const value of [0.5, 1, 1.5, 9]) histogram.observe(value, { route: "r" });
    expect(metrics.text()).toBe(
      [
        "# HELP a_total Counts\\nthings.",
        "# TYPE a_total counter",
        'a_total{path="x\\"y\\\\z\\n"} 3',
        "# HELP b Now.",
        "# TYPE b gauge",
        'b{kind="one"} 1',
        'b{kind="two"} 2.5',
        "# HELP c_seconds Took.",
        "# TYPE c_seconds histogram",
        'c_seconds_bucket{route="r",le="1"} 2',
        'c_seconds_bucket{route="r",le="2"} 3',
        'c_seconds_bucket{route="r",le="+Inf"} 4',
        'c_seconds_sum{route="r"} 12',
        'c_seconds_count{route="r"} 4',
        "",
      ].join("\n"),
    );
  });
});

describe("log", () => {
  it("is one JSON object a line, without secrets, cut, from its level on", () => {
    const lines: string[] = [];
    const log = openLog(
      (line) => lines.push(line),
      () => 0,
    );
    log("debug", "unheard");
    log("warn", "a line\nand another with Bearer abc.def", {
      accessToken: "plain",
      reason: `sheafjoin-abc and sheaf1.aGk.bXk ${"x".repeat(1000)}`,
      status: 5,
      none: undefined,
    });
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toContain("\n");
    const { reason, ...rest } = JSON.parse(lines[0]!) as Record<string, unknown>;
    expect(rest).toEqual({
      at: "1970-01-01T00:00:00.000Z",
      level: "warn",
      message: "a line\nand another with [secret]",
      accessToken: "[secret]",
      status: 5,
    });
    expect(reason).toMatch(/^\[secret\] and \[secret\] x+$/);
    expect((reason as string).length).toBeLessThanOrEqual(500);
  });
});

describe("access tokens", () => {
  it("any change of a token's text makes it worthless", async () => {
    const tokens = await openAccessTokens(new Uint8Array(32), () => 0);
    const { token } = await tokens.issue("device-1", "device", 1000);
    expect(await tokens.check(token)).toMatchObject({ ok: true, claims: { subject: "device-1", role: "device", expiresAtMs: 1000 } });
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length - 1), fc.constantFrom(..."AZaz09-_.=+/ \n"), async (place, char) => {
        const changed = token.slice(0, place) + char + token.slice(place + 1);
        expect((await tokens.check(changed)).ok).toBe(changed === token);
      }),
    );
    for (const other of ["", ".", "..", "...", `${token}.`, `${token}=`, ` ${token}`, token.slice(0, -1), "x".repeat(5000)]) {
      expect((await tokens.check(other)).ok).toBe(false);
    }
  });

  it("base64url has one spelling", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect([...(fromBase64Url(toBase64Url(bytes)) ?? [])]).toEqual([...bytes]);
      }),
    );
    for (const bad of ["A", "AB", "A=", "AA==", "A A", "AAAA\n"]) expect(fromBase64Url(bad)).toBeUndefined();
  });
});

describe("ranges", () => {
  it("lie within the object and are the bytes that were asked for", () => {
    fc.assert(
      fc.property(fc.nat(50), fc.nat(60), fc.integer({ min: 1, max: 50 }), (from, to, bytes) => {
        const range = (() => {
          try {
            return parseRange(`bytes=${from}-${to}`, bytes);
          } catch {
            return "outside";
          }
        })();
        if (to < from) expect(range).toBeUndefined();
        else if (from >= bytes) expect(range).toBe("outside");
        else expect(range).toEqual({ start: from, end: Math.min(to + 1, bytes) });
      }),
    );
  });
});

describe("a body that is cut short", () => {
  it("is the caller's fault or the line's, not a defect, and what came counts", async () => {
    const pieces: number[] = [];
    let pulls = 0;
    const body = new ReadableStream<Uint8Array>(
      { pull: (controller) => (pulls++ === 0 ? controller.enqueue(new Uint8Array(3)) : controller.error(new Error("aborted"))) },
      { highWaterMark: 0 },
    );
    const read = async (): Promise<void> => {
      for await (const piece of limitedBody(body, { bytes: 10, idleMs: 1000 })) pieces.push(piece.length);
    };
    await expect(read()).rejects.toMatchObject({ protocolCode: "invalid" });
    expect(pieces).toEqual([3]);
  });
});
