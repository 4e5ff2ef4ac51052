/** How each head and control is drawn, the same in every chart: a colour, and a shape for those who do not see colours. */
import { el, type Markup } from "../markup.ts";
import type { HeadId, HeadReport } from "../reportData.ts";
import { type Shape, shapePath } from "./frame.ts";

interface HeadStyle {
  /** Class of the style sheet that fills. */
  readonly fill: string;
  readonly shape: Shape;
}

const styles: Readonly<Record<HeadId, HeadStyle>> = {
  central: { fill: "f-central", shape: "diamond" },
  slim: { fill: "f-slim", shape: "square" },
  H0: { fill: "f-h0", shape: "triangle" },
  H1: { fill: "f-h1", shape: "square" },
  H2: { fill: "f-h2", shape: "circle" },
  H3: { fill: "f-h3", shape: "diamond" },
  H4: { fill: "f-h4", shape: "triangle" },
  H5: { fill: "f-h5", shape: "square" },
};

/** The mark of a head around the origin of a group placed at x, y. */
export function headMark(id: HeadId, x: number, y: number, main: boolean, tooltip?: Markup): Markup {
  const { fill, shape } = styles[id];
  return el(
    "path",
    {
      d: shapePath(shape, main ? 90 : 52),
      class: `mark ${fill}`,
      transform: `translate(${Math.round(x * 100) / 100} ${Math.round(y * 100) / 100})`,
    },
    tooltip,
  );
}

/** Controls first, then heads, each in its usual order. */
export function inHeadOrder(heads: readonly HeadReport[]): HeadReport[] {
  const order: readonly HeadId[] = ["central", "slim", "H0", "H1", "H2", "H3", "H4", "H5"];
  return [...heads].sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
}

/** The head that the headline speaks of. */
export function findHead(heads: readonly HeadReport[], id: HeadId): HeadReport | undefined {
  return heads.find((head) => head.id === id);
}
