/** What the users of a cache write into their configuration, ready to paste. */

export interface ClientConfiguration {
  /** Lines of `/etc/nix/nix.conf` or `~/.config/nix/nix.conf`. */
  readonly nixConf: string;
  readonly nixosModule: string;
  /** The attribute of a `flake.nix`. */
  readonly flake: string;
}

/**
 * @param url address of the cache as clients reach it
 * @param publicKeys `name:base64` each; during a rotation the old and the new one
 */
export function clientConfiguration(url: string, publicKeys: readonly string[]): ClientConfiguration {
  const list = (values: readonly string[]): string =>
    `[ ${values.map((value) => `${JSON.stringify(value)} `).join('')}]`;
  return {
    nixConf: [`extra-substituters = ${url}`, `extra-trusted-public-keys = ${publicKeys.join(' ')}`, ''].join(
      '\n',
    ),
    nixosModule: [
      '{',
      '  nix.settings = {',
      `    substituters = ${list([url])};`,
      `    trusted-public-keys = ${list(publicKeys)};`,
      '  };',
      '}',
      '',
    ].join('\n'),
    flake: [
      'nixConfig = {',
      `  extra-substituters = ${list([url])};`,
      `  extra-trusted-public-keys = ${list(publicKeys)};`,
      '};',
      '',
    ].join('\n'),
  };
}
