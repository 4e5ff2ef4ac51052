/** Networks that a module of the user's own defines. */
import type { LearningRates, NetworkDefinition } from "../models/definition.ts";
import type { Network } from "../network/network.ts";
import { outputShape, placeLayers } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import { importDefault } from "../util/modules.node.ts";

type Unknown = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Unknown => typeof value === "object" && value !== null;

const shown = (value: unknown): string =>
  typeof value === "function" ? "a function" : (JSON.stringify(value)?.slice(0, 60) ?? String(value));

function refuse(path: string, what: string, expected: string, got: unknown): never {
  throw new SheafError("network", `${path}: ${what} must be ${expected}, got ${shown(got)}; correct the file and run again.`);
}

function ratesOf(value: unknown, path: string): LearningRates | undefined {
  if (value === undefined) return undefined;
  const { wide, narrow } = isObject(value) ? value : {};
  if (!(typeof wide === "number" && wide > 0 && typeof narrow === "number" && narrow > 0)) {
    refuse(path, "learningRate", "{ wide, narrow } of positive numbers", value);
  }
  return { wide, narrow };
}

function checkNetwork(value: unknown, classes: number, path: string): Network {
  if (!isObject(value) || !Array.isArray(value.layers) || typeof value.name !== "string" || !isObject(value.input)) {
    refuse(path, "what build gives", "a network: { name, input, layers }", value);
  }
  const network = value as unknown as Network;
  try {
    placeLayers(network);
  } catch (cause) {
    if (!(cause instanceof SheafError)) throw cause;
    throw new SheafError(cause.code, `${path}: ${cause.message}`, { cause });
  }
  const { channels } = outputShape(network);
  if (channels !== classes) {
    throw new SheafError(
      "network",
      `${path} builds a network of ${channels} logits, but the data has ${classes} classes; end it in \`classes\` outputs.`,
    );
  }
  return network;
}

/**
 * Loads the network that a module (.ts, .mjs, .js) exports with `export default defineNetwork({...})`, and checks it; `build` of what comes back
 * checks each network it gives, and throws `network`, naming the file, when it is ill-formed or does not end in `classes` logits.
 * Throws `data` when there is no such file, `network`, naming the file, when it cannot be run or exports no network.
 * @example const network = (await loadNetworkModule("network.ts")).build(fitOf(train).input, 10);
 */
export async function loadNetworkModule(path: string): Promise<NetworkDefinition> {
  const value = await importDefault(path, "network", "network");
  if (!isObject(value)) refuse(path, "the default export", "what defineNetwork returns: an object with name and build", value);
  const { name, title, build, learningRate } = value;
  if (typeof name !== "string" || name === "") refuse(path, "name", "a name", name);
  if (typeof build !== "function") refuse(path, "build", "a function of input and number of classes", build);
  const rates = ratesOf(learningRate, path);
  return {
    name,
    title: typeof title === "string" ? title : name,
    ...(rates ? { learningRate: rates } : {}),
    build(input, classes) {
      let built: unknown;
      try {
        built = (value as unknown as Pick<NetworkDefinition, "build">).build(input, classes);
      } catch (cause) {
        if (cause instanceof SheafError) throw cause;
        throw new SheafError(
          "network",
          `${path}: build failed: ${cause instanceof Error ? cause.message.replace(/\.$/, "") : cause}; correct the file and run again.`,
          { cause },
        );
      }
      return checkNetwork(built, classes, path);
    },
  };
}
