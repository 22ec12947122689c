// One signature's time beside the agent in C that verifies, as bars: an SVG.

const WIDTH = 760;
const LEFT = 190;
const BAR = 16;
const GAP = 8;
const TOP = 40;
/** The column of the measure `latency` that is drawn. */
const COLUMN = 'p50, C verifies';

export function plot(results) {
  const rows = results.flatMap(({ rows }) => rows).filter(({ cells }) => cells[COLUMN] !== undefined);
  const most = Math.max(2, ...rows.map(({ cells }) => Math.max(cells[COLUMN].value, cells[COLUMN].atMost ?? 0)));
  const x = (ratio) => Math.round(LEFT + (ratio / most) * (WIDTH - LEFT - 60));
  const height = TOP + rows.length * (BAR + GAP) + GAP;
  const bars = rows.map(({ what, cells }, at) => bar(what, cells[COLUMN], TOP + at * (BAR + GAP), x));
  const one = `<line x1="${x(1)}" x2="${x(1)}" y1="${TOP - 6}" y2="${height - GAP}" stroke="#555"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
<text x="8" y="20" font-size="14">One signature, median: times the agent in C that verifies (line: 1; red mark: at most)</text>
${bars.join('\n')}
${one}
</svg>
`;
}

function bar(what, { value, atMost }, y, x) {
  const middle = y + BAR - 4;
  const goal =
    atMost === undefined ? '' : `<rect x="${x(atMost) - 1}" y="${y - 2}" width="2" height="${BAR + 4}" fill="#c22"/>`;
  return [
    `<text x="${LEFT - 8}" y="${middle}" text-anchor="end">${what}</text>`,
    `<rect x="${LEFT}" y="${y}" width="${x(value) - LEFT}" height="${BAR}" fill="#4a7ebb"/>`,
    goal,
    `<text x="${Math.max(x(value), atMost === undefined ? 0 : x(atMost)) + 6}" y="${middle}">${value.toFixed(2)}</text>`,
  ].join('');
}
