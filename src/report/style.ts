/**
 * The style sheet of the page and of its charts. Colours are variables with a light and a dark set; hues follow Okabe and Ito
 * (Color Universal Design, 2008), which people with any colour vision can tell apart, lightened for the dark ground.
 */

/** Colours on a light ground, on a dark one, and on paper. */
const light = `--ground:#ffffff;--plane:#f6f7f8;--ink:#1b1f23;--muted:#5a636d;--rule:#d5dae0;--grid:#e8ebee;--on:#ffffff;--on-wrong:#1b1f23;--right:#004f8a;
--blue:#0072b2;--sky:#56b4e9;--green:#009e73;--orange:#e69f00;--red:#d55e00;--pink:#cc79a7;--grey:#9aa3ac;--strong:#3c444c`;
const dark = `--ground:#14171a;--plane:#1c2024;--ink:#e6e9ec;--muted:#a2abb4;--rule:#3a4149;--grid:#2a3036;--on:#0c0e10;--on-wrong:#0c0e10;--right:#6db8ec;
--blue:#4aa3df;--sky:#9ad4f5;--green:#35c79c;--orange:#f2b53a;--red:#f0864a;--pink:#e3a3c6;--grey:#7d868f;--strong:#c9d0d6`;
const paper = `--ground:#ffffff;--plane:#f6f7f8;--ink:#000000;--muted:#444b52;--rule:#c5cad0;--grid:#e3e6e9;--on:#ffffff;--on-wrong:#1b1f23;--right:#004f8a;
--blue:#0072b2;--sky:#56b4e9;--green:#009e73;--orange:#e69f00;--red:#d55e00;--pink:#cc79a7;--grey:#9aa3ac;--strong:#3c444c`;

const chartRules = `
svg.chart{display:block;max-width:100%;height:auto;font:12px/1 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;font-variant-numeric:tabular-nums;fill:var(--ink)}
svg.chart.fixed{max-width:none}
.chart .tick,.chart .legend{fill:var(--muted)}
.chart .halo{paint-order:stroke;stroke:var(--ground);stroke-width:6px;stroke-linejoin:round}
.chart .panel{font-weight:600}
.chart .small{font-size:10px}
.chart .cell{font-size:11px}.chart .on{fill:var(--on)}.chart .on-wrong{fill:var(--on-wrong)}
.chart line,.chart path.grid,.chart path.axis{fill:none;shape-rendering:crispEdges}
.chart .grid{stroke:var(--grid);stroke-width:1}
.chart .axis{stroke:var(--muted);stroke-width:1}
.chart .plane{fill:var(--plane)}
.chart .whisker{stroke:var(--muted);stroke-width:2}
.chart .reference{stroke:var(--strong);stroke-width:1;stroke-dasharray:3 2}
.chart .promise{stroke:var(--red);stroke-width:2}
.chart .mark{stroke:var(--ground);stroke-width:1}
.chart .f-central{fill:var(--strong)}.chart .f-slim{fill:var(--grey)}
.chart .f-h0{fill:var(--green)}.chart .f-h1{fill:var(--orange)}.chart .f-h2{fill:var(--blue)}
.chart .f-h3{fill:var(--sky)}.chart .f-h4{fill:var(--pink)}.chart .f-h5{fill:var(--red)}
.chart .f-download{fill:var(--sky)}.chart .f-train{fill:var(--blue)}.chart .f-settle{fill:var(--green)}.chart .f-statistics{fill:var(--orange)}.chart .f-upload{fill:var(--red)}
.chart .f-right{fill:var(--right)}.chart .f-wrong{fill:var(--red)}
.chart .hollow{fill:none;stroke:var(--muted);stroke-dasharray:3 2}
.chart .series{fill:none;stroke-width:1.75;stroke-linejoin:round;shape-rendering:auto}
.chart .s0{stroke:var(--strong)}.chart .s1{stroke:var(--blue)}.chart .s2{stroke:var(--red)}.chart .s3{stroke:var(--green)}
.chart .s4{stroke:var(--orange)}.chart .s5{stroke:var(--pink)}.chart .s6{stroke:var(--sky)}
.chart .many{stroke:var(--green);stroke-width:1;stroke-opacity:.45}
.chart .d1{stroke-dasharray:6 3}.chart .d2{stroke-dasharray:2 2}
.chart .f-train-part{fill:var(--blue)}.chart .f-validation-part{fill:var(--orange)}.chart .f-test-part{fill:var(--grey)}
.chart .f-own{fill:var(--blue)}.chart .f-background{fill:var(--orange)}
`;

/** Colours and chart classes, the colours for what `selector` finds: a page that has colours of its own gives the charts theirs with `svg.chart`. */
export function chartStyleFor(selector: string): string {
  return `
${selector}{color-scheme:light dark;
${light}}
@media (prefers-color-scheme:dark){${selector}{
${dark}}}
@media print{${selector}{color-scheme:light;
${paper}}}
${chartRules.trimStart()}`;
}

/** Colours and chart classes for a whole page. */
export const chartStyle: string = chartStyleFor(":root");

/** The chart rules with the colours put in: many programs that show SVG files know no variables. */
function resolvedRules(colours: string): string {
  const values = new Map([...colours.matchAll(/--([\w-]+):([^;]+)/g)].map((match) => [match[1], match[2]?.trim()]));
  const rules = `${chartRules}.ground{fill:var(--ground)}`;
  return rules.replaceAll(/var\(--([\w-]+)\)/g, (variable, name: string) => values.get(name) ?? variable);
}

/** The style sheet of a chart that is a file of its own: on a light ground, or on the ground that the viewer prefers. */
export function fileStyle(ground: "light" | "preferred"): string {
  return ground === "light" ? resolvedRules(light) : `${resolvedRules(light)}\n@media (prefers-color-scheme:dark){${resolvedRules(dark)}}`;
}

/** The page around the charts. */
export const pageStyle = `
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;font-variant-numeric:tabular-nums}
main{max-width:928px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 4px}
h2{font-size:1.25rem;line-height:1.3;margin:0 0 8px}
h3{font-size:1rem;line-height:1.3;margin:24px 0 8px}
p{margin:0 0 12px;max-width:72ch}
section{margin-top:48px;padding-top:20px;border-top:1px solid var(--rule)}
a{color:var(--blue)}
.by{color:var(--muted);margin-bottom:20px}
.result{font-size:1.25rem;line-height:1.4;max-width:60ch;margin-bottom:20px}
.note{color:var(--muted);font-size:.9rem}
.narrow{display:none}
.samples{display:grid;gap:8px 20px;margin:16px 0 8px}
.samples figure{margin:0;display:flex;align-items:center;gap:10px;min-width:0;break-inside:avoid}
.samples figcaption{flex:0 0 7em;text-align:right;font-size:.85rem;line-height:1.2;overflow-wrap:break-word}
.samples figcaption.short{flex-basis:6.8em;font-size:.8rem}
.samples img{display:block;min-width:0;max-width:calc(100% - 7em - 10px);height:auto;image-rendering:pixelated}
figure{margin:16px 0 8px}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.9rem}
th,td{text-align:left;padding:5px 16px 5px 0;border-bottom:1px solid var(--grid);vertical-align:top}
tr>:last-child{padding-right:0}
thead th{color:var(--muted);font-weight:600;border-bottom-color:var(--rule);vertical-align:bottom}
tbody th{font-weight:400}
.n{text-align:right;white-space:nowrap}
tr.main th,tr.main td{font-weight:600}
caption{text-align:left;color:var(--muted);padding-bottom:6px}
figure.scroll{margin-inline:calc(50% - min(50vw - 24px,640px));max-width:none}
details{margin-top:8px}
summary{cursor:pointer;color:var(--muted);font-size:.9rem;padding:4px 0}
details .scroll{margin-top:8px}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:16px 24px;margin:24px 0 0;padding:0}
.facts dt{color:var(--muted);font-size:.85rem}
.facts dd{margin:0;font-size:1.25rem;line-height:1.3}
.facts dd small{display:block;font-size:.85rem;color:var(--muted)}
dl.list{display:grid;grid-template-columns:minmax(120px,max-content) 1fr;gap:6px 24px;margin:0 0 16px;font-size:.95rem}
dl.list dt{color:var(--muted)}
dl.list dd{margin:0;min-width:0;overflow-wrap:anywhere}
code{font:0.9em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
@media screen and (max-width:640px){
main{padding:24px 16px 48px}
section{margin-top:36px}
h1{font-size:1.4rem}.result{font-size:1.1rem}
.wide,.wide-cell{display:none}th,td{padding-right:10px}thead .n{white-space:normal}th[scope=row]{min-width:8em}.narrow{display:block}
.samples figcaption{flex-basis:5em}.samples img{max-width:calc(100% - 5em - 10px)}
dl.list{grid-template-columns:1fr;gap:0}dl.list dd{margin-bottom:10px}
.facts{grid-template-columns:1fr 1fr}}
@media print{
@page{margin:16mm}
body{font-size:11pt}main{max-width:none;padding:0}
section{margin-top:24px}
figure,tr,.facts>div{break-inside:avoid}h2{break-after:avoid}
details:not([open]){display:none}.scroll{overflow:visible}figure.scroll{margin-inline:0}
svg.chart.fixed{max-width:100%}}
`;
