/** `sheaf cost`: what a network costs. */
import { join } from "node:path";
import { writeFileAtomic } from "../../util/files.node.ts";
import { formatBytes, formatCount, table } from "../../util/format.ts";
import { canonicalJson } from "../../util/json.ts";
import type { CommandSpec } from "../command.ts";

export const cost: CommandSpec = {
  flags: ["network", "width"],
  examples: [
    ["cost --network vgg11 --width 0.28", "a VGG-11 of about a twelfth of the computation"],
    ["cost --network resnet18 --json", "the same as JSON: macs, parameters, activationBytes, ..."],
  ],
  async run({ options, terminal, config }) {
    const { layerCost, networkCost, placeLayers } = await import("../../network/shapes.ts");
    const { buildTarget, catalogFit } = await import("../../run/target.ts");
    const settings = await config();
    const fit = catalogFit(settings.data.name);
    const network = await buildTarget(settings, fit);
    const total = networkCost(network);
    const layers = placeLayers(network).map((placed) => ({ placed, cost: layerCost(placed) }));
    const result = {
      network: network.name,
      width: settings.target.width,
      input: [fit.input.channels, fit.input.height, fit.input.width],
      classes: fit.classes,
      macs: total.macs,
      parameters: total.parameters,
      activationBytes: total.activationBytes,
      trainingBytes: total.trainingBytes,
      layers: layers.map(({ placed: { layer, output }, cost: c }) => ({
        name: layer.name,
        type: layer.type,
        output: [output.channels, output.height, output.width],
        macs: c.macs,
        parameters: c.parameters,
        activationBytes: c.activationBytes,
        trainingBytes: c.trainingBytes,
      })),
    };
    if (options.out) await writeFileAtomic(join(options.out, "cost.json"), `${canonicalJson(result)}\n`);
    terminal.printJson(result);
    const rows = result.layers.map((l) => [
      l.name,
      l.type,
      l.output.join("x"),
      formatCount(l.macs),
      formatCount(l.parameters),
      formatBytes(l.activationBytes),
    ]);
    terminal.print(
      table([
        ["layer", "type", "output", "MACs", "parameters", "activation"],
        ...rows,
        ["total", "", "", formatCount(total.macs), formatCount(total.parameters), formatBytes(total.activationBytes)],
      ]),
    );
    terminal.print(
      `\nPer sample, forward; a training step is three forward passes and holds ${formatBytes(total.trainingBytes)} a sample.`,
    );
  },
};
