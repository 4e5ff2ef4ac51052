/** What every message schema promises: it takes what its type describes, and nothing else. */
import fc, { type Arbitrary } from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { canonicalJson } from "../util/json.ts";
import { errorBody, errorBodySchema, invalidRequest, ProtocolError, protocolErrorCodes } from "./errors.ts";
import { freeKeys, made } from "./messages.fixture.ts";
import { enrolmentSchema, offerAnswerSchema } from "./messages.ts";
import { runRequestSchema } from "./operatorMessages.ts";
import { type RouteName, routeNames, routes } from "./routes.ts";
import { isShallow } from "./values.ts";

interface Case {
  readonly what: string;
  readonly schema: z.ZodType<unknown>;
  readonly messages: Arbitrary<unknown>;
  readonly free: readonly string[];
}

const cases: Case[] = routeNames.flatMap((name: RouteName) =>
  (["request", "response"] as const).flatMap((part) => {
    const schema = routes[name][part] as z.ZodType<unknown> | string;
    const messages = made[name][part];
    if (typeof schema === "string" || !messages) {
      // A body that is not JSON has no generator, and the other way round.
      expect([typeof schema, messages]).toEqual(["string", undefined]);
      return [];
    }
    return [{ what: `${part} of ${name}`, schema, messages, free: freeKeys[name] ?? [] }];
  }),
);

type Path = readonly (string | number)[];

/** Places in a message, the whole first; free JSON is not looked into. */
function placesOf(value: unknown, free: readonly string[], path: Path = []): Path[] {
  if (free.includes("") || typeof value !== "object" || value === null) return [path];
  const children = Object.entries(value).filter(([key]) => !free.includes(key));
  return [path, ...children.flatMap(([key, child]) => placesOf(child, free, [...path, Array.isArray(value) ? Number(key) : key]))];
}

const at = (value: unknown, path: Path): unknown => path.reduce((v, key) => (v as Record<string, unknown>)[key], value);

/** A copy with another value in one place. */
function withValue(value: unknown, [key, ...rest]: Path, put: unknown): unknown {
  if (key === undefined) return put;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string, unknown>;
  copy[key] = withValue(copy[key], rest, put);
  return copy;
}

const wrongFor = (value: unknown): readonly unknown[] => {
  switch (typeof value) {
    case "number":
      return [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, String(value), true, null, [value], {}];
    case "string":
      return [7, null, true, [value], {}, "x".repeat(5000), ""];
    case "boolean":
      return [0, "true", null, {}, []];
    default:
      return Array.isArray(value) ? [{}, "text", 3, null] : [[], "text", 3, undefined];
  }
};

const few = { numRuns: 25 };

describe.each(cases)("$what", ({ schema, messages, free }) => {
  const isFree = free.includes("");

  it("takes what its type describes, and the same after JSON", () => {
    fc.assert(
      fc.property(messages, (message) => {
        expect(schema.parse(message)).toEqual(message);
        const sent = JSON.parse(JSON.stringify(message));
        expect(canonicalJson(schema.parse(sent))).toBe(canonicalJson(message));
      }),
      few,
    );
  });

  it.skipIf(isFree)("refuses an unknown key wherever it is", () => {
    fc.assert(
      fc.property(messages, fc.nat(), fc.constantFrom("extra", "__proto", "constructor"), (message, pick, key) => {
        const objects = placesOf(message, free).filter((path) => {
          const value = at(message, path);
          return typeof value === "object" && value !== null && !Array.isArray(value);
        });
        const path = objects[pick % objects.length] as Path;
        const wrong = withValue(message, path, { ...(at(message, path) as object), [key]: 1 });
        expect(schema.safeParse(wrong).success).toBe(false);
      }),
      few,
    );
  });

  it.skipIf(isFree)("refuses a wrong type, NaN, an infinity, and a text that is too long or empty, wherever it is", () => {
    fc.assert(
      fc.property(messages, fc.nat(), fc.nat(), (message, pick, choose) => {
        const places = placesOf(message, free);
        const path = places[pick % places.length] as Path;
        const value = at(message, path);
        // What may be null: the offer that did not come up, and the run of a shard that may be of any.
        if (value === null) return;
        const choices = wrongFor(value).filter(
          (wrong) => !(path.length === 1 && ["offer", "runId"].includes(String(path[0])) && wrong === null),
        );
        // A list may be empty and an object without keys is right where all keys may be missing, so the replacement is of another kind.
        const wrong = choices[choose % choices.length];
        const result = schema.safeParse(withValue(message, path, wrong));
        expect(result.success, `${path.join(".")} = ${String(wrong).slice(0, 40)}`).toBe(false);
      }),
      few,
    );
  });

  it.skipIf(isFree)("refuses a message without a key that it needs, naming the place", () => {
    fc.assert(
      fc.property(messages, (message) => {
        for (const key of Object.keys(message as object)) {
          const { [key]: _, ...rest } = message as Record<string, unknown>;
          const result = schema.safeParse(rest);
          if (!result.success && !free.includes(key))
            expect(invalidRequest("It", result.error).message).toMatch(/^It is not as expected at /);
        }
        const keys = Object.keys(message as object);
        if (keys.length > 0) expect(schema.safeParse({}).success).toBe(false);
      }),
      few,
    );
  });
});

/** Places of a JSON schema that take more than they should: open objects, endless lists and texts. */
function openPlaces(node: unknown, path = "$"): string[] {
  if (Array.isArray(node)) return node.flatMap((item, i) => openPlaces(item, `${path}[${i}]`));
  if (typeof node !== "object" || node === null) return [];
  const { type, ...rest } = node as Record<string, unknown>;
  const problems: string[] = [];
  if (type === "array" && rest.maxItems === undefined && rest.prefixItems === undefined) problems.push(`${path}: list`);
  if (type === "object" && rest.additionalProperties !== false) problems.push(`${path}: object`);
  if (type === "string") {
    const pattern = typeof rest.pattern === "string" && /^\^.*\$$/.test(rest.pattern) && !/[^\\][*+]($|[^\]}\w/=-])/.test(rest.pattern);
    if (rest.maxLength === undefined && rest.enum === undefined && rest.const === undefined && !pattern) problems.push(`${path}: text`);
  }
  if (
    (type === "number" || type === "integer") &&
    rest.const === undefined &&
    rest.minimum === undefined &&
    rest.exclusiveMinimum === undefined
  ) {
    // Only what may be below zero: losses, slopes, limits, normalization, seeds.
    if (!/loss|slope|minimum|maximum|mean|std|seed/.test(path)) problems.push(`${path}: number`);
  }
  return [...problems, ...Object.entries(rest).flatMap(([key, child]) => openPlaces(child, `${path}.${key}`))];
}

describe("limits", () => {
  it.each(cases.filter(({ free }) => free.length === 0))("$what has one for every list, text and object", ({ schema }) => {
    expect(openPlaces(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }))).toEqual([]);
  });

  it("are found missing where they are", () => {
    expect(openPlaces(z.toJSONSchema(z.object({ a: z.array(z.string()), b: z.strictObject({ n: z.number() }) }), { io: "input" }))).toEqual(
      ["$: object", "$.properties.a: list", "$.properties.a.items: text", "$.properties.b.properties.n: number"],
    );
  });

  it("hold for lists", () => {
    const [enrolment] = fc.sample(made.enrol.request, { numRuns: 1, seed: 1 });
    const classNames = Array.from({ length: 65_536 }, (_, i) => `class ${i}`);
    const { counts: _, present: __, ...data } = (enrolment as unknown as { data: object }).data as Record<string, unknown>;
    const withClasses = (n: number): unknown => ({
      ...enrolment,
      data: { ...data, classNames: classNames.slice(0, n), counts: classNames.slice(0, n).map(() => 1) },
    });
    expect(enrolmentSchema.safeParse(withClasses(65_535)).success).toBe(true);
    expect(enrolmentSchema.safeParse(withClasses(65_536)).success).toBe(false);
  });

  it("hold for depth, however deep", () => {
    const nested = (depth: number): unknown => JSON.parse(`${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`);
    const config = (depth: number): unknown => ({ name: "n", config: nested(depth) });
    expect(runRequestSchema.safeParse(config(20)).success).toBe(true);
    expect(runRequestSchema.safeParse(config(40)).success).toBe(false);
    expect(runRequestSchema.safeParse(config(5000)).success).toBe(false);
    expect(isShallow([[[]]], 2)).toBe(true);
    expect(isShallow([[[[]]]], 2)).toBe(false);
  });
});

describe("rules across keys", () => {
  const data = { classNames: ["a", "b"], sampleShape: { channels: 1, height: 2, width: 2 }, fingerprint: "0".repeat(64) };
  const [enrolment] = fc.sample(made.enrol.request, { numRuns: 1, seed: 2 });
  const takes = (change: object): boolean => enrolmentSchema.safeParse({ ...enrolment, data: { ...data, ...change } }).success;

  it("a device gives counts or presence, not both, one for each class", () => {
    expect(takes({ counts: [1, 2] })).toBe(true);
    expect(takes({ present: [true, false] })).toBe(true);
    expect(takes({})).toBe(false);
    expect(takes({ counts: [1, 2], present: [true, false] })).toBe(false);
    expect(takes({ counts: [1] })).toBe(false);
    expect(takes({ counts: [1, -1] })).toBe(false);
    expect(takes({ counts: [1, 2], classNames: ["a", "a"] })).toBe(false);
  });

  it("an offer is of the kind of its specification, and its task set ascends", () => {
    fc.assert(
      fc.property(made.offer.response, ({ offer, ...rest }) => {
        fc.pre(offer !== null);
        const kind = offer?.kind === "train" ? "settle" : "train";
        expect(offerAnswerSchema.safeParse({ ...rest, offer: { ...offer, kind } }).success).toBe(false);
        const taskSet = [5, 5];
        expect(offerAnswerSchema.safeParse({ ...rest, offer: { ...offer, spec: { ...offer?.spec, taskSet } } }).success).toBe(false);
      }),
      few,
    );
  });
});

describe("errors", () => {
  it("cross the wire, whatever they say", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...protocolErrorCodes),
        fc.string({ maxLength: 5000 }),
        fc.dictionary(fc.string({ maxLength: 300 }), fc.string({ maxLength: 3000 }), { maxKeys: 3 }),
        (code, message, details) => {
          const error = new ProtocolError(code, message, { details });
          const body = errorBodySchema.parse(JSON.parse(JSON.stringify(errorBody(error))));
          expect(body.error.code).toBe(code);
          expect(error.status).toBeGreaterThanOrEqual(400);
        },
      ),
    );
  });
});
