import { describe, expect, it } from "vitest";
import { modelCard } from "./modelCard.ts";
import { madeUpCentralRun, madeUpReport } from "./reportData.fixture.ts";

describe("modelCard", () => {
  const data = madeUpReport();
  const card = modelCard(data).replaceAll("\u00a0", " ");

  it("has its chapters in order", () => {
    expect(card.match(/^#+ .+$/gm)).toEqual([
      "# VGG-11 on CIFAR-10, five devices",
      "## Accuracy",
      "## Training",
      "## Use",
      "## Limits",
      "## Licence",
    ]);
  });

  it("says classes, file, accuracy of every head, and how to run it", () => {
    expect(card).toContain("airplane, automobile, bird");
    expect(card).toContain(data.model!.sha256);
    for (const head of data.heads) expect(card).toContain(`${head.label}`);
    expect(card).toContain(`session = onnxruntime.InferenceSession("model.onnx")`);
    expect(card).toContain(`session.run(["probabilities"], {"image": pixels})`);
    expect(card).toContain("numpy.zeros((1, 3, 32, 32)");
  });

  it("names the least accurate classes", () => {
    const accuracies = data.heads[4]!.perClassAccuracy!;
    const worst = accuracies.indexOf(Math.min(...accuracies.map((value) => value ?? 1)));
    expect(card).toContain(`Least accurate classes: ${data.dataSet.classes[worst]} `);
  });

  it("of a central run says so and speaks of no sub-models", () => {
    const central = modelCard(madeUpCentralRun());
    expect(central).toContain("trained in one place");
    expect(central).not.toContain("sub-model");
  });

  it("leaves out how to use a model that was not written", () => {
    const { model: _model, ...rest } = data;
    expect(modelCard(rest)).not.toContain("## Use");
  });

  it("escapes names that would be markup", () => {
    const classes = data.dataSet.classes.map((name, id) => (id === 0 ? "<script>\n# x" : id === 1 ? "a|b`c*" : name));
    const hostile = modelCard({ ...madeUpReport({ classes }), command: "sheaf `x`" });
    expect(hostile).not.toContain("<script>");
    expect(hostile).not.toMatch(/^# x/m);
    expect(hostile).toContain("a\\|b\\`c\\*");
    expect(hostile).toContain("`` sheaf `x` ``");
  });
});
