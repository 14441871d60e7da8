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

/**
 * Lines that go to `folder`, or with `writable` to a copy of it below the temporary folder, and leave its path in `$app`.
 * Installed packages are not copied. `@coreutils@` is to be replaced by the package.
 */
export function enterLines(folder: string, writable: boolean): readonly string[] {
  if (!writable) return [`app=${folder}`, 'cd "$app"'];
  return [
    'app=$(@coreutils@/bin/mktemp -d "${TMPDIR:-/tmp}/app-XXXXXX")',
    `for entry in ${folder}/* ${folder}/.[!.]*; do`,
    '  if [ ! -e "$entry" ]; then continue; fi',
    '  name=${entry##*/}',
    '  if [ "$name" = node_modules ]; then @coreutils@/bin/ln -s "$entry" "$app/$name"; continue; fi',
    '  @coreutils@/bin/cp -R "$entry" "$app/$name"',
    '  @coreutils@/bin/chmod -R u+w "$app/$name"',
    'done',
    'cd "$app"',
  ];
}
