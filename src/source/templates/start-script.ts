/** The program that an image starts: a few lines of shell that go to the right folder and become the application. */

/**
 * A start line as the last line of a script. A plain command is `exec`ed, so that it gets the signals itself.
 * `"$@"` hands on further arguments.
 */
export function execLine(start: string): string {
  const line = start.trim().replace(/^npx +(--no-install +)?/, '');
  if (/[;&|<>()`\n]/.test(line)) return line;
  if (/^[A-Za-z_]\w*=/.test(line)) return `exec env ${line} "$@"`;
  return `${line.startsWith('exec ') ? '' : 'exec '}${line} "$@"`;
}
