/** The rows as a CSV file (RFC 4180, with line feeds), one line for each classifier and seed. */
import type { JobRecord } from "./record.ts";
import type { ResultRow } from "./summary.ts";

type Value = string | number | undefined;

/** Columns in their order; what does not apply to a row is empty. */
const columns: Readonly<Record<string, (row: ResultRow, record: JobRecord | undefined) => Value>> = {
  cell: (row) => row.cell,
  method: (row) => row.method,
  head: (row) => row.head,
  seed: (row) => row.seed,
  score: (row) => row.score,
  accuracy: (row) => row.accuracy,
  balancedAccuracy: (row) => row.balancedAccuracy,
  ratioMin: (row) => row.ratio?.min,
  ratioMedian: (row) => row.ratio?.median,
  ratioMax: (row) => row.ratio?.max,
  computeMacs: (row) => row.computeMacs,
  bytesDown: (row) => row.bytesDown,
  bytesUp: (row) => row.bytesUp,
  rounds: (row) => row.rounds,
  virtualSeconds: (row) => row.virtualSeconds,
  parameters: (row) => row.parameters,
  evaluatedOn: (_, record) => record?.evaluatedOn,
  trainSamples: (_, record) => record?.data.train,
  testSamples: (_, record) => record?.data.test,
  commit: (_, record) => record?.commit,
  command: (_, record) => record?.command,
};

/** Names of the columns. */
export const csvColumns: readonly string[] = Object.keys(columns);

const cellText = (value: Value): string => {
  const text = value === undefined ? "" : String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** The whole file. */
export function resultsCsv(rows: readonly ResultRow[], records: ReadonlyMap<string, JobRecord>): string {
  const lines = rows.map((row) =>
    Object.values(columns)
      .map((column) => cellText(column(row, records.get(row.job))))
      .join(","),
  );
  return `${[csvColumns.join(","), ...lines].join("\n")}\n`;
}
