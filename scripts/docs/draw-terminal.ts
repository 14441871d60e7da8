/** A terminal's output as an SVG picture: text in its colours, one element a line. */
import { stripVTControlCharacters } from 'node:util';

const LINE_HEIGHT = 19;
const CHARACTER_WIDTH = 8.43;
const MARGIN = 16;
const TITLE_HEIGHT = 32;

/** Colours with enough contrast on the dark background. */
const COLOURS: Readonly<Record<string, string>> = {
  '31': '#ff7b72',
  '32': '#7ee787',
  '33': '#e3b341',
  '34': '#79c0ff',
  '36': '#76e3ea',
};

/** @param output as the program wrote it to a terminal; escape sequences other than colours and weights are dropped */
export function drawTerminal(command: string, output: string): string {
  const lines = trimBlank(output.replaceAll('\r', '').split('\n'));
  const columns = Math.max(60, ...lines.map((line) => stripVTControlCharacters(line).length));
  const width = Math.ceil(columns * CHARACTER_WIDTH + 2 * MARGIN);
  const height = TITLE_HEIGHT + lines.length * LINE_HEIGHT + 2 * MARGIN;
  const text = lines.map((line, index) => {
    const y = TITLE_HEIGHT + MARGIN + (index + 0.75) * LINE_HEIGHT;
    return `  <text x="${MARGIN}" y="${y}" xml:space="preserve">${drawLine(line)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(`Terminal: ${command}`)}"`,
    '  font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14" fill="#d1d7e0">',
    `  <rect width="${width}" height="${height}" rx="8" fill="#151b23"/>`,
    ...['#ff7b72', '#e3b341', '#7ee787'].map(
      (colour, index) => `  <circle cx="${20 + index * 18}" cy="18" r="5.5" fill="${colour}" opacity="0.8"/>`,
    ),
    `  <text x="${width / 2}" y="22" text-anchor="middle" fill="#9198a1">${escape(command)}</text>`,
    ...text,
    '</svg>',
    '',
  ].join('\n');
}

function drawLine(line: string): string {
  let [bold, dim, colour] = [false, false, ''];
  let drawn = '';
  // Even parts are text, odd ones the parameters of an SGR sequence (ECMA-48 §8.3.117).
  // oxlint-disable-next-line no-control-regex
  for (const [index, part] of line.split(/\x1b\[([0-9;]*)m/).entries()) {
    if (index % 2 === 0) {
      const text = escape(stripVTControlCharacters(part));
      const attributes = [
        bold ? ' font-weight="bold"' : '',
        dim ? ' fill="#9198a1"' : '',
        colour === '' ? '' : ` fill="${colour}"`,
      ].join('');
      drawn += attributes === '' || text === '' ? text : `<tspan${attributes}>${text}</tspan>`;
      continue;
    }
    for (const code of part.split(';')) {
      if (code === '1') bold = true;
      else if (code === '2') dim = true;
      else if (code === '22') [bold, dim] = [false, false];
      else if (code === '39') colour = '';
      else if (code === '0' || code === '') [bold, dim, colour] = [false, false, ''];
      else colour = COLOURS[code] ?? colour;
    }
  }
  return drawn;
}

function trimBlank(lines: readonly string[]): string[] {
  const filled = lines.map((line) => stripVTControlCharacters(line).trim() !== '');
  return lines.slice(filled.indexOf(true), filled.lastIndexOf(true) + 1);
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
