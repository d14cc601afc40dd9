import { type Series, seriesOf, spreadOf } from './statistics.ts';
import { boundOf, limitsOf, type Row, verdictOf } from './verdict.ts';

const HEAD = ['path', 'against', 'reference', 'gateway', 'figure', 'median', 'spread of both', 'bound', 'met'];
const VERDICTS = { met: 'yes', missed: '**no**', failed: '**failed**', told: '–' } as const;

/** The rows as a Markdown table, best rounds first. */
export function tableOf(rows: readonly Row[], isSmoke: boolean): string {
  const lines = [HEAD, HEAD.map(() => '---'), ...rows.map((row) => cellsOf(row, isSmoke))];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function cellsOf(row: Row, isSmoke: boolean): readonly string[] {
  const { title, against, unit } = boundOf(row);
  const { most, least } = limitsOf(row, isSmoke);
  const bound = most === undefined ? least : most;
  const figure = (value: number) => (unit === 'ratio' ? value.toFixed(2) : `${rounded(value)} ${unit}`);
  const spread = [row.reference, row.subject].map((series) => (series === undefined ? '–' : `${Math.round(spreadOf(series) * 100)} %`));
  return [
    row.variant === undefined ? title : `${title}, ${row.variant}`,
    against,
    amount(row.reference, row.unit),
    amount(row.subject, row.unit),
    row.failure ?? figure(row.value),
    row.failure === undefined ? figure(seriesOf(row.each).median) : '–',
    spread.join(' / '),
    bound === undefined ? '–' : `${most === undefined ? '≥' : '≤'} ${unit === 'ratio' ? bound : `${bound} ${unit}`}`,
    VERDICTS[verdictOf(row, isSmoke)],
  ];
}

function amount(series: Series | undefined, unit: string): string {
  return series === undefined ? '–' : `${rounded(series.best)} ${unit}`;
}

/** Three digits that count. */
function rounded(value: number): string {
  return Math.abs(value) >= 100 ? String(Math.round(value)) : value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}
