/** Public door of `report/`: the page of a run, its charts, and the model card, all pure functions of {@link ReportData}. */
export { accuracyChart } from "./report/charts/accuracyChart.ts";
export { bytesChart } from "./report/charts/bytesChart.ts";
export { computeChart, promisedRatio } from "./report/charts/computeChart.ts";
export { confusionChart } from "./report/charts/confusionChart.ts";
export { curvesChart } from "./report/charts/curvesChart.ts";
export { type ChartOptions, narrowWidth, wideWidth } from "./report/charts/frame.ts";
export { perClassChart } from "./report/charts/perClassChart.ts";
export { planChart } from "./report/charts/planChart.ts";
export { timelineChart } from "./report/charts/timelineChart.ts";
export { headline } from "./report/headline.ts";
export { modelCard } from "./report/modelCard.ts";
export { renderReport } from "./report/page.ts";
export {
  type CurvePoint,
  type CurveSeries,
  type DeviceCompute,
  type DeviceReport,
  type DeviceStatus,
  type HeadId,
  type HeadReport,
  type ModelFileReport,
  type ModelTensor,
  parseReportData,
  type ReportData,
  reportDataSchema,
  reportFormat,
  type TimelineKind,
  type TimelineSegment,
  totalMacs,
} from "./report/reportData.ts";
export { chartStyle } from "./report/style.ts";
