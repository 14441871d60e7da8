/** An image on the terminal: layers, packages, large paths and what keeps them, configuration, checks. */
import type { ImageDetails } from '../api/kiln-api.ts';
import type { ImageDifference } from '../api/image-api.ts';
import { formatBytes } from '../base/units.ts';
import type { InspectedLayer, InspectedPackage } from '../image/inspect-image.ts';
import type { StartCheckResult } from '../image/start-check.ts';
import type { RunConfig } from '../oci/image-config.ts';
import type { CommandContext } from './command-context.ts';
import { cut, table, type Style } from './terminal.ts';

const SHOWN_PACKAGES = 12;
const SHOWN_PATHS = 12;

export function printImage(context: CommandContext, image: ImageDetails): void {
  const { out } = context;
  const { style } = out;
  const sections = [
    headOf(image, style),
    layersOf(image.layers, style),
    packagesOf(image.packages, style),
    pathsOf(image, style, out.columns),
    configOf(image, style),
    membersOf(image, style),
    checksOf(image, style),
  ];
  out.write(
    `${sections
      .filter((lines) => lines.length > 0)
      .map((lines) => lines.join('\n'))
      .join('\n\n')}\n`,
  );
}

export function printDifference(context: CommandContext, difference: ImageDifference): void {
  const { out } = context;
  const { style } = out;
  const { layers, packages, config } = difference;
  const sections = [
    [`${style('bold', difference.from)} → ${style('bold', difference.to)}`],
    table(
      [
        ['shared', `${layers.shared} layers`, formatBytes(layers.sharedBytes)],
        [style('green', 'added'), `${layers.added} layers`, formatBytes(layers.addedBytes)],
        [style('red', 'removed'), `${layers.removed} layers`, formatBytes(layers.removedBytes)],
      ],
      [1, 2],
    ),
    packages.length === 0
      ? ['The packages are the same.']
      : table(
          [
            heading(['', 'PACKAGE', 'FROM', 'TO', 'SIZE', ''], style),
            ...packages.map(({ name, change, versions, size }) => [
              change === 'added' ? style('green', '+') : change === 'removed' ? style('red', '-') : '~',
              name,
              versions.from.join(' '),
              versions.to.join(' '),
              formatBytes(size.to),
              signed(size.to - size.from),
            ]),
          ],
          [4, 5],
        ),
    config.length === 0
      ? ['The configuration is the same.']
      : table([
          heading(['SETTING', 'FROM', 'TO'], style),
          ...config.map(({ key, from, to }) => [key, shorten(from), shorten(to)]),
        ]),
  ];
  out.write(`${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`);
}

type StyleText = (style: Style, text: string) => string;

function headOf(image: ImageDetails, style: StyleText): string[] {
  const { config, plan, previous } = image;
  const facts = [
    config === undefined
      ? 'several platforms'
      : [config.os, config.architecture, config.variant].filter(Boolean).join('/'),
    `${formatBytes(image.size)} in ${image.layers.length} layers`,
    ...(plan === undefined ? [] : [`${plan.kind} plan`]),
    ...(image.buildId === undefined ? [] : [image.buildId]),
  ];
  const news =
    previous === undefined
      ? 'the first release that is known'
      : `${formatBytes(image.newBytes)} new since ${shortDigest(previous.digest)}`;
  return [
    style('bold', image.reference),
    style('dim', image.digest),
    ...(image.members === undefined ? [facts.join(' · '), news] : [facts[0] ?? '']),
  ];
}

function layersOf(layers: readonly InspectedLayer[], style: StyleText): string[] {
  if (layers.length === 0) return [];
  const rows = layers.map((layer, index) => [
    layer.isNew ? style('green', '+') : ' ',
    String(index + 1),
    formatBytes(layer.size),
    style('dim', shortDigest(layer.digest)),
    layer.kind === 'store-paths'
      ? shortPaths(layer.paths)
      : style('dim', layer.kind === 'files' ? 'root file system' : 'base image'),
  ]);
  return table([heading(['', '', 'SIZE', 'LAYER', 'PATHS'], style), ...rows], [1, 2]);
}

function packagesOf(packages: readonly InspectedPackage[], style: StyleText): string[] {
  if (packages.length === 0) return [];
  const rest = packages.slice(SHOWN_PACKAGES);
  const rows = packages
    .slice(0, SHOWN_PACKAGES)
    .map(({ name, versions, size, paths }) => [
      name,
      versions.join(' '),
      formatBytes(size),
      String(paths.length),
    ]);
  const more = [
    `and ${rest.length} more`,
    '',
    formatBytes(rest.reduce((sum, one) => sum + one.size, 0)),
    String(rest.reduce((sum, one) => sum + one.paths.length, 0)),
  ].map((cell) => style('dim', cell));
  return table(
    [heading(['PACKAGE', 'VERSION', 'SIZE', 'PATHS'], style), ...rows, ...(rest.length > 0 ? [more] : [])],
    [2, 3],
  );
}

function pathsOf(image: ImageDetails, style: StyleText, columns: number): string[] {
  if (image.paths.length === 0) return [];
  const rows = image.paths
    .slice(0, SHOWN_PATHS)
    .map((path) => [
      path.isNew ? style('green', '+') : ' ',
      formatBytes(path.size),
      String(path.layer),
      path.why.length === 0 ? nameOf(path.path) : path.why.map(nameOf).join(style('dim', ' → ')),
    ]);
  return table([heading(['', 'SIZE', 'LAYER', 'LARGE PATH, AND WHAT KEEPS IT'], style), ...rows], [1, 2]).map(
    (line) => cut(line, Math.max(60, columns)),
  );
}

function configOf(image: ImageDetails, style: StyleText): string[] {
  if (image.config === undefined) return [];
  const config: RunConfig = image.config.config;
  const rows: (readonly [string, string])[] = [
    ['entry point', (config.Entrypoint ?? []).join(' ')],
    ['arguments', (config.Cmd ?? []).join(' ')],
    ['user', config.User ?? ''],
    ['folder', config.WorkingDir ?? ''],
    ['ports', Object.keys(config.ExposedPorts ?? {}).join(' ')],
    ...(config.Env ?? []).map((line, at) => [at === 0 ? 'environment' : '', line] as const),
    ...Object.entries(config.Labels ?? {}).map(
      ([name, value], at) => [at === 0 ? 'labels' : '', `${name}=${value}`] as const,
    ),
  ];
  return table(rows.filter(([, value]) => value !== '').map(([name, value]) => [style('dim', name), value]));
}

function membersOf(image: ImageDetails, style: StyleText): string[] {
  const rows = (image.members ?? []).map(({ platform, digest, size }) => [
    platform,
    digest,
    formatBytes(size),
  ]);
  return rows.length === 0 ? [] : table([heading(['PLATFORM', 'IMAGE', 'SIZE'], style), ...rows], [2]);
}

function checksOf(image: ImageDetails, style: StyleText): string[] {
  const findings = image.findings.map(({ severity, message, hint }) => {
    const mark = severity === 'error' ? style('red', '✗') : style('yellow', '!');
    return `${mark} preflight: ${message}\n  ${style('dim', hint)}`;
  });
  return [...findings, ...(image.startChecks ?? []).flatMap((check) => checkLines(check, style))];
}

function checkLines(check: StartCheckResult, style: StyleText): string[] {
  const mark = check.passed ? style('green', '✓') : style('red', '✗');
  const why = check.reason === undefined ? '' : ` (${check.reason})`;
  return [
    `${mark} ${check.profile} profile: ${check.detail}${why}`,
    ...(check.passed || check.hint === undefined ? [] : [`  ${style('dim', check.hint)}`]),
    ...stopLines(check, style),
  ];
}

function stopLines({ stopsOnSigterm }: StartCheckResult, style: StyleText): string[] {
  if (stopsOnSigterm === undefined) return [];
  if (stopsOnSigterm) return [`${style('green', '✓')} handles SIGTERM`];
  const hint =
    'Every stop takes the whole grace period, 10 s under Docker, 30 s under Kubernetes. Handle the signal, or run it under an init.';
  return [`${style('yellow', '!')} does not handle SIGTERM`, `  ${style('dim', hint)}`];
}

function heading(cells: readonly string[], style: StyleText): string[] {
  return cells.map((cell) => style('dim', cell));
}

function shortPaths(paths: readonly string[]): string {
  const names = paths.map(nameOf);
  return names.length <= 4 ? names.join(' ') : `${names.slice(0, 3).join(' ')} and ${names.length - 3} more`;
}

function nameOf(path: string): string {
  return path.slice('/nix/store/'.length + 33);
}

function shortDigest(digest: string): string {
  return digest.slice(0, 19);
}

function signed(bytes: number): string {
  return `${bytes < 0 ? '-' : '+'}${formatBytes(Math.abs(bytes))}`;
}

function shorten(text: string | undefined): string {
  return text === undefined ? '–' : cut(text, 60);
}
