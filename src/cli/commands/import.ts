/** `sheaf import`: a CNN made elsewhere becomes a network file with weights. */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import type { ImportedNetwork } from "../../import/importNetwork.ts";
import type { FeatureShape } from "../../network/network.ts";
import type { ImportCheck } from "../../run/importFile.ts";
import { SheafError } from "../../util/errors.ts";
import { readFileChecked, writeFileAtomic } from "../../util/files.node.ts";
import { formatCount, table } from "../../util/format.ts";
import { canonicalJson } from "../../util/json.ts";
import { encodeSafetensors } from "../../util/safetensors.ts";
import type { CommandSpec } from "../command.ts";

function parseInput(text: string): FeatureShape {
  const extents = text.split("x").map(Number);
  if (extents.length !== 3 || extents.some((n) => !Number.isInteger(n) || n < 1))
    throw new InvalidArgumentError("Expected CxHxW, such as 3x32x32.");
  const [channels = 1, height = 1, width = 1] = extents;
  return { channels, height, width };
}

function parseNumbers(text: string): readonly number[] {
  const values = text.split(",").map(Number);
  if (text.trim() === "" || values.some((v) => !Number.isFinite(v)))
    throw new InvalidArgumentError("Expected numbers with commas between them.");
  return values;
}

/** Names from a file, one a line, or from the argument itself, with commas between them. */
async function readClassNames(text: string, classes: number): Promise<readonly string[]> {
  const lines = existsSync(text) ? new TextDecoder().decode(await readFileChecked(text, "class names")).split("\n") : text.split(",");
  const names = lines.map((line) => line.trim()).filter((line) => line !== "");
  if (names.length !== classes) {
    throw new SheafError(
      "usage",
      `--class-names has ${names.length} names, but the network gives ${classes} values; name each, in their order.`,
    );
  }
  return names;
}

/** What the user sees of the check, or an error that says not to trust the import. */
function describeCheck(check: ImportCheck): string {
  return `Checked against the original on ${check.samples} random sample${check.samples === 1 ? "" : "s"}: largest difference ${check.maxDifference.toExponential(1)} (largest output ${check.maxOutput.toPrecision(3)}).`;
}

function describeSource({ source, network }: ImportedNetwork): string {
  const { channels, height, width } = network.input;
  return `${source.producer === "" ? "unknown tool" : source.producer}, ONNX operator set ${source.opset}, input ${channels}x${height}x${width}`;
}

export const importModel: CommandSpec = {
  options: [
    new Option("--input <CxHxW>", "what goes in, where the file leaves it open").argParser(parseInput),
    new Option("--mean <a,b,c>", "values reach the model as (x - mean) / std; per channel").argParser(parseNumbers),
    new Option("--std <a,b,c>", "see --mean").argParser(parseNumbers),
    new Option("--class-names <names>", "a file with one name a line, or names with commas between them"),
    new Option("--name <name>", "name of the network; the file's by default"),
    new Option("--no-check", "do not compare with the original by running both"),
  ],
  examples: [
    ["import resnet.onnx --out resnet", "then: sheaf run --network resnet/network.json"],
    ["import mobilenet.onnx --input 3x96x96 --mean 124,116,104 --std 58,57,57 --out mobilenet", "with the preparation it was trained with"],
  ],
  async run({ arguments: [path = ""], options, terminal }) {
    if (options.out === undefined) throw new SheafError("usage", "sheaf import needs --out DIR, the folder to write network.json into.");
    const given = {
      ...(options.input ? { input: options.input as FeatureShape } : {}),
      ...(options.mean ? { mean: options.mean as readonly number[] } : {}),
      ...(options.std ? { std: options.std as readonly number[] } : {}),
      name: (options.name as string | undefined) ?? basename(path).replace(/\.onnx$/, ""),
    };
    const { layerCost, networkCost, outputShape, placeLayers } = await import("../../network/shapes.ts");
    const { agrees, checkImport, importFile } = await import("../../run/importFile.ts");
    const { bytes, imported } = await importFile(path, given);
    const { network, parameters, notes, source, audio } = imported;
    const classes = outputShape(network).channels;
    const classNames = options.classNames === undefined ? imported.classNames : await readClassNames(options.classNames as string, classes);
    const check = options.check === false ? undefined : await checkImport(bytes, imported, given, options.seed ?? 0);
    if (check && !agrees(check)) {
      throw new SheafError(
        "network",
        `${path} was read, but the network does not give what the original gives: outputs differ by up to ${check.maxDifference.toPrecision(3)} (largest output ${check.maxOutput.toPrecision(3)}). Please report the file; --no-check writes the network all the same.`,
      );
    }
    const files = { network: join(options.out, "network.json"), weights: join(options.out, "weights.safetensors") };
    await writeFileAtomic(
      files.network,
      `${canonicalJson({ ...network, ...(classNames ? { classNames } : {}), ...(audio ? { audio } : {}) })}\n`,
    );
    await writeFileAtomic(files.weights, encodeSafetensors(parameters, classNames ? { classNames: JSON.stringify(classNames) } : {}));
    const total = networkCost(network);
    terminal.printJson({
      ...files,
      name: network.name,
      producer: source.producer,
      opset: source.opset,
      input: network.input,
      classes,
      classNames: classNames ?? null,
      audio: audio ?? null,
      layers: network.layers.length,
      macs: total.macs,
      parameters: total.parameters,
      notes,
      check: check ?? null,
    });
    const rows = placeLayers(network).map((placed) => {
      const { macs, parameters: count } = layerCost(placed);
      const { channels, height, width } = placed.output;
      return [placed.layer.name, placed.layer.type, `${channels}x${height}x${width}`, formatCount(macs), formatCount(count)];
    });
    terminal.print(
      table([
        ["layer", "type", "output", "MACs", "parameters"],
        ...rows,
        ["total", "", "", formatCount(total.macs), formatCount(total.parameters)],
      ]),
    );
    terminal.print(`\n${path}: ${describeSource(imported)}`);
    for (const note of notes) terminal.print(note);
    terminal.print(check ? describeCheck(check) : "Not compared with the original (--no-check).");
    terminal.print(`${files.network}\n${files.weights}`);
  },
};
