/** Sub-models side by side as one network: the graph of the global model with its head, to be trained jointly as a diagnosis. */
import { finalLayer } from "../harvest/harvested.ts";
import { inputName, type Layer, type Network } from "../network/network.ts";
import { SheafError } from "../util/errors.ts";

/** Name of the joined network's last layer. */
export const jointHead = "classifier";

/**
 * One network of all branches up to their features, these concatenated, and one linear layer over all classes; the same branches and
 * head as a global model under a head on features. A branch's layers get its place in front of their names: `b0_conv1`.
 * Throws `network` when a branch does not end in a linear layer, `config` without any branch.
 */
export function joinBranches(branches: readonly Network[], classCount: number): Network {
  const [first] = branches;
  if (!first) throw new SheafError("config", "Joint training needs at least one branch, got none; give the fleet a device.");
  const layers: Layer[] = [];
  const features = branches.map((network, index) => {
    const named = (name: string): string => (name === inputName ? inputName : `b${index}_${name}`);
    const { featureLayer } = finalLayer(network);
    for (const layer of network.layers.slice(0, -1)) layers.push({ ...layer, name: named(layer.name), inputs: layer.inputs.map(named) });
    return named(featureLayer);
  });
  if (features.length > 1) layers.push({ type: "concat", name: "features", inputs: features });
  const last = features.length > 1 ? "features" : (features[0] as string);
  layers.push({ type: "linear", name: jointHead, inputs: [last], outFeatures: classCount, bias: true });
  return { name: `${first.name}-joint`, input: first.input, layers };
}
