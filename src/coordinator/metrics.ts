/** Counters, gauges and histograms in Prometheus's text format (version 0.0.4). The names of label values must come from closed sets. */

type Labels = Readonly<Record<string, string>>;

export interface Counter {
  add(labels?: Labels, by?: number): void;
}

export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

export interface Metrics {
  counter(name: string, help: string): Counter;
  /** `buckets` are upper bounds, ascending. */
  histogram(name: string, help: string, buckets: readonly number[]): Histogram;
  /** Read when asked for; several values are told apart by labels. */
  gauge(name: string, help: string, read: () => number | readonly (readonly [Labels, number])[]): void;
  /** All metrics as text. */
  text(): string;
}

const escapeLabel = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
const escapeHelp = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

/** An empty registry. */
export function openMetrics(): Metrics {
  const families = new Map<string, () => readonly string[]>();
  const register = (name: string, type: string, help: string, lines: () => readonly string[]): void => {
    families.set(name, () => [`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`, ...lines()]);
  };
  return {
    counter(name, help) {
      const values = new Map<string, number>();
      register(name, "counter", help, () => [...values].map(([labels, value]) => `${name}${labels} ${value}`));
      return {
        add(labels = {}, by = 1) {
          const key = labelText(labels);
          values.set(key, (values.get(key) ?? 0) + by);
        },
      };
    },
    histogram(name, help, buckets) {
      const series = new Map<string, { readonly labels: Labels; readonly counts: number[]; sum: number; count: number }>();
      register(name, "histogram", help, () =>
        [...series.values()].flatMap(({ labels, counts, sum, count }) => [
          ...buckets.map((bound, i) => `${name}_bucket${labelText({ ...labels, le: String(bound) })} ${counts[i]}`),
          `${name}_bucket${labelText({ ...labels, le: "+Inf" })} ${count}`,
          `${name}_sum${labelText(labels)} ${sum}`,
          `${name}_count${labelText(labels)} ${count}`,
        ]),
      );
      return {
        observe(value, labels = {}) {
          const key = labelText(labels);
          const found = series.get(key) ?? { labels, counts: buckets.map(() => 0), sum: 0, count: 0 };
          series.set(key, found);
          buckets.forEach((bound, i) => {
            if (value <= bound) found.counts[i]! += 1;
          });
          found.sum += value;
          found.count += 1;
        },
      };
    },
    gauge(name, help, read) {
      register(name, "gauge", help, () => {
        const value = read();
        return typeof value === "number" ? [`${name} ${value}`] : value.map(([labels, one]) => `${name}${labelText(labels)} ${one}`);
      });
    },
    text: () => `${[...families.values()].flatMap((lines) => lines()).join("\n")}\n`,
  };
}
