/** A baseline's answer as one deployable model: its only network, or the mean of several networks' answers. */
import { asRows, compileInference, deployInput, deployNetwork, type InferenceOptions, inputMetadata } from "../compile/deploy.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import type { Graph, Value } from "../onnx/graph.ts";
import { SheafError } from "../util/errors.ts";
import type { BaselineMethod, Member } from "./federation.ts";

/**
 * A model like `compileInference`'s (`image` or `audio` in, `logits` and `probabilities` out) that runs all members. With `probabilities` the answer is the mean
 * of their probabilities and `logits` is its logarithm; with `logits` it is the mean of their logits.
 * Throws `internal` without members, `network` where one does not end in a logit per class.
 */
export function compileEnsemble(members: readonly Member[], combine: BaselineMethod["combine"], options: InferenceOptions): Graph {
  const [first] = members;
  if (!first) throw new SheafError("internal", "An ensemble needs at least one member.");
  if (members.length === 1) return compileInference(first.network, first.parameters, options);
  const b = new GraphBuilder(["logits", "probabilities"]);
  const input = deployInput(b, first.network.input, options);
  const answers = members.map(({ network, parameters }, i): Value => {
    const logits = asRows(b, deployNetwork(b, network, input, parameters, { prefix: `member${i + 1}` }).output);
    if (logits.shape[1] !== options.classNames.length) {
      throw new SheafError(
        "network",
        `Member ${i + 1} of the ensemble ends in ${logits.shape[1]} values per sample but there are ${options.classNames.length} classes.`,
      );
    }
    return combine === "logits" ? logits : b.op("Softmax", [logits], { axis: 1 });
  });
  const mean = b.mul(b.op("Sum", answers), b.float("float32", 1 / members.length), "mean");
  // Far below every probability that decides anything; keeps the logarithm finite.
  const logits = combine === "logits" ? mean : b.op("Log", [b.add(mean, b.float("float32", 1e-30))]);
  const probabilities = combine === "logits" ? b.op("Softmax", [mean], { axis: 1 }) : mean;
  b.output("logits", logits);
  b.output("probabilities", probabilities);
  return b.build(options.name ?? "sheaf-ensemble", {
    ...options.metadata,
    ...inputMetadata(options),
    classNames: JSON.stringify(options.classNames),
  });
}
