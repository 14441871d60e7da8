/** Evaluates an installable to one derivation. */
import { readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorePath } from '../base/brand.ts';
import { closestMatches } from '../base/closest-match.ts';
import { isKilnError, KilnError } from '../base/error.ts';
import { parseStorePath } from '../store/store-path.ts';
import { checkFlakeInputs } from './check-flake-inputs.ts';
import { describeEvaluationFailure } from './evaluation-failure.ts';
import { overrideNixpkgs } from './override-nixpkgs.ts';
import { evaluationSettings, type EvaluationOptions } from './evaluation-settings.ts';
import {
  DERIVATION_WITH_FACTS,
  type ExpressionFacts,
  FACTS_FUNCTION,
  parseFacts,
  readFacts,
} from './expression-facts.ts';
import type { NixEvent } from './internal-json.ts';
import { attributesToChoose, nixPathLiteral } from './list-attributes.ts';
import { machineFailure, nixFailure } from './nix-failure.ts';
import type { Installable } from './installable.ts';
import type { NixInstallation } from './nix-installation.ts';
import { NIX_COMMAND, runNixLogged, type NixResult } from './run-nix.ts';

export interface InstantiateOptions extends EvaluationOptions {
  /** Absolute path of a link that keeps the derivation from garbage collection; its folder exists. */
  readonly gcRoot?: string;
  /** Folder of a flake that takes the place of a flake's nixpkgs. */
  readonly flakeNixpkgs?: string;
  /** Also read `meta.mainProgram` and `passthru.image`, in the same evaluation. */
  readonly withFacts?: boolean;
}

export interface Instantiated {
  readonly drvPath: StorePath;
  /** The output that the expression stands for: `out`, or `dev` for `pkg.dev`. */
  readonly outputName: string;
  readonly facts: ExpressionFacts;
}

/**
 * Evaluates to exactly one derivation and writes it to the store. Builds what the evaluation imports.
 * @throws KilnError syntax-error, evaluation-failed, dependency-fetch, hash-mismatch, too-large (memory),
 *   timed-out, cancelled, nix-failed, disk-full
 */
export async function instantiate(
  nix: NixInstallation,
  installable: Installable,
  options: InstantiateOptions,
): Promise<Instantiated> {
  return installable.type === 'file'
    ? await instantiateFile(nix, installable, options)
    : await instantiateFlake(nix, installable, options);
}

async function instantiateFile(
  nix: NixInstallation,
  installable: Extract<Installable, { type: 'file' }>,
  options: InstantiateOptions,
): Promise<Instantiated> {
  const described = options.withFacts === true ? await describeFile(nix, installable, options) : undefined;
  if (described !== undefined && !isKilnError(described)) return described;
  const { args, run } = evaluationSettings(options);
  const selection = installable.attr === undefined ? [] : ['--attr', installable.attr];
  const given = Object.entries(installable.args).flatMap(([name, value]) => ['--argstr', name, value]);
  const root = options.gcRoot === undefined ? [] : ['--add-root', options.gcRoot];
  const result = await runNixLogged(
    nix,
    'nix-instantiate',
    [installable.file, ...selection, ...given, ...root, ...args],
    run,
  );
  if (result.exitCode !== 0) {
    const failure = evaluationFailure('nix-instantiate', result, options);
    const unknown = failure.fields['path'];
    if (failure.fields['reason'] === 'missing-attribute' && typeof unknown === 'string')
      throw await missingAttribute(nix, installable, unknown, options);
    // Nix evaluates every derivation of a set; one that fails should not hide that a choice is missing.
    const offered =
      failure.code === 'evaluation-failed' ? await attributesToChoose(nix, installable, options) : [];
    throw offered.length > 1 ? notADerivation(installable.file, offered) : failure;
  }
  const lines = [...new Set(result.stdout.split('\n').filter((line) => line !== ''))];
  const found = await Promise.all(lines.map((line) => readResult(line)));
  const distinct = new Set(found.map(({ drvPath }) => drvPath));
  const [first] = found;
  if (first === undefined) throw notADerivation(installable.file, []);
  const choice = distinct.size === 1 ? undefined : await attributesToChoose(nix, installable, options);
  if (choice === undefined) {
    await removeLinks(lines.slice(1));
    // The derivation is fine without the facts, so they are what the evaluation failed for.
    if (described !== undefined) throw described;
    return first;
  }
  await removeLinks(lines);
  throw notADerivation(installable.file, choice);
}

/**
 * The usual case in one evaluation. Where it fails, the plain evaluation says why in words that name no expression of Kiln's own.
 * @returns undefined where the choice of the derivation is not clear, an error where the evaluation failed
 */
async function describeFile(
  nix: NixInstallation,
  installable: Extract<Installable, { type: 'file' }>,
  options: InstantiateOptions,
): Promise<Instantiated | KilnError | undefined> {
  const { attr = '', file } = installable;
  // Quoted names and list positions are read by Nix alone.
  if (/["']|(?:^|\.)\d+(?:\.|$)/.test(attr)) return undefined;
  const messages: NixEvent[] = [];
  const onEvent = (event: NixEvent): void => {
    if (event.type === 'message') messages.push(event);
    else if (event.type !== 'error') options.onEvent?.(event);
  };
  const { args, run } = evaluationSettings({ ...options, onEvent });
  const given = ['--arg', 'file', nixPathLiteral(file), '--argstr', 'path', attr];
  const json = ['--argstr', 'argumentsJson', JSON.stringify(installable.args)];
  const root = options.gcRoot === undefined ? [] : ['--add-root', options.gcRoot];
  const result = await runNixLogged(
    nix,
    'nix-instantiate',
    ['--expr', DERIVATION_WITH_FACTS, ...given, ...json, ...root, ...args],
    run,
  );
  if (result.exitCode !== 0) {
    const failure = evaluationFailure('nix-instantiate', result, options);
    if (failure.code !== 'evaluation-failed' && failure.code !== 'syntax-error') throw failure;
    return failure;
  }
  const [drv, facts] = result.stdout.split('\n').filter((line) => line !== '');
  if (drv === undefined || facts === undefined) return undefined;
  for (const message of messages) options.onEvent?.(message);
  const found = { ...(await readResult(drv)), facts: await readFacts(facts) };
  await removeLinks([facts]);
  return found;
}

/** With `--add-root` Nix prints the link, without it the derivation; `!output` follows unless it is `out`. */
async function readResult(line: string): Promise<Instantiated> {
  const [, path = line, outputName = 'out'] = /^(.*?)(?:!([0-9a-zA-Z+\-._?=]+))?$/.exec(line) ?? [];
  const drvPath = path.endsWith('.drv') && path.startsWith('/nix/store/') ? path : await readlink(path);
  return { drvPath: parseStorePath(drvPath), outputName, facts: {} };
}

async function removeLinks(lines: readonly string[]): Promise<void> {
  for (const line of lines) {
    const link = line.replace(/![^/]*$/, '');
    if (!link.startsWith('/nix/store/')) await rm(link, { force: true });
  }
}

async function instantiateFlake(
  nix: NixInstallation,
  installable: Extract<Installable, { type: 'flake' }>,
  options: InstantiateOptions,
): Promise<Instantiated> {
  const { args, run } = evaluationSettings(options);
  const reference = flakeReference(installable);
  const overrides =
    options.flakeNixpkgs === undefined
      ? []
      : await overrideNixpkgs(options.flakeNixpkgs, localFlake(reference));
  if (options.restricted) await checkFlakeInputs(nix, reference, { ...options, overrides });
  const command = ['eval', '--json', ...NIX_COMMAND, '--no-write-lock-file', ...overrides];
  const result = await runNixLogged(
    nix,
    'nix',
    [...command, '--apply', DESCRIBE, ...args, '--', reference],
    run,
  );
  if (result.exitCode !== 0) throw evaluationFailure('nix eval', result, options);
  const described = JSON.parse(result.stdout) as FlakeResult;
  if (described.drvPath === null) {
    const prefix = installable.attr === undefined ? '' : `${installable.attr}.`;
    throw notADerivation(
      reference,
      described.attributes.map((name) => prefix + name),
    );
  }
  const drvPath = parseStorePath(described.drvPath);
  if (options.gcRoot !== undefined) await holdDerivation(nix, drvPath, options.gcRoot, options);
  return { drvPath, outputName: described.outputName, facts: parseFacts(described.facts) };
}

interface FlakeResult {
  readonly drvPath: string | null;
  readonly outputName: string;
  readonly attributes: readonly string[];
  /** JSON. */
  readonly facts: string;
}

const DESCRIBE = `v:
  let
    isDerivation = x: builtins.isAttrs x && (x.type or "") == "derivation";
    derivations = n: (builtins.tryEval (isDerivation v.\${n})).value;
  in
  if isDerivation v then { inherit (v) drvPath; outputName = v.outputName or "out"; attributes = [ ]; facts = (${FACTS_FUNCTION}) v; }
  else {
    drvPath = null; outputName = "out"; facts = "{}";
    attributes = if builtins.isAttrs v then builtins.filter derivations (builtins.attrNames v) else [ ];
  }`;

/** The folder of a flake in this machine's copy of a source. */
function localFlake(reference: string): string | undefined {
  const match = /^path:(\/[^?#]*)(?:\?dir=([^#&]*))?/.exec(reference);
  return match === null ? undefined : join(decodeURI(match[1] ?? ''), decodeURI(match[2] ?? ''));
}

/** `ref#attr`; a reference that brings its own fragment keeps it. */
function flakeReference(installable: { readonly reference: string; readonly attr?: string }): string {
  const { reference, attr } = installable;
  if (attr === undefined) return reference;
  return `${reference.replace(/#.*$/s, '')}#${attr}`;
}

async function holdDerivation(
  nix: NixInstallation,
  drvPath: StorePath,
  gcRoot: string,
  options: InstantiateOptions,
): Promise<void> {
  const result = await runNixLogged(nix, 'nix', ['build', ...NIX_COMMAND, '--out-link', gcRoot, drvPath], {
    signal: options.signal,
  });
  if (result.exitCode !== 0) throw nixFailure('nix build --out-link', result);
}

function evaluationFailure(command: string, result: NixResult, options: InstantiateOptions): KilnError {
  const text = result.errors.at(-1);
  if (text === undefined) {
    // The collector ends the process outright when it reaches its limit.
    if (/heap|memory|bad_alloc/i.test(result.stderr)) return describeEvaluationFailure(result.stderr);
    return nixFailure(command, result);
  }
  return machineFailure(text) ?? describeEvaluationFailure(text, options);
}

/** Names what could have been meant: the derivations of the set in which the attribute was looked for. */
async function missingAttribute(
  nix: NixInstallation,
  installable: Extract<Installable, { type: 'file' }>,
  path: string,
  options: InstantiateOptions,
): Promise<KilnError> {
  const { attr: _, ...whole } = installable;
  const parent = path.split('.').slice(0, -1).join('.');
  const offered = await attributesToChoose(nix, parent === '' ? whole : { ...whole, attr: parent }, options);
  const close = closestMatches(path, offered, 1)[0];
  const shown = offered.slice(0, 40).join(', ');
  return new KilnError('evaluation-failed', `The expression has no attribute \`${path}\``, {
    where: options.displayPath?.(installable.file) ?? installable.file,
    hint:
      shown === ''
        ? 'Choose another with --attr, or none to build the expression itself.'
        : `${close === undefined ? '' : `Did you mean ${close}? `}Choose one with --attr: ${shown}${offered.length > 40 ? ' …' : ''}.`,
    fields: { reason: 'missing-attribute', attribute: path, path, attributes: offered.slice(0, 40) },
  });
}

function notADerivation(what: string, attributes: readonly string[]): KilnError {
  const shown = attributes.slice(0, 40);
  if (shown.length === 0) {
    return new KilnError('evaluation-failed', 'The expression gives no derivation', {
      where: what,
      hint: 'It, or the attribute chosen with --attr, must be something to build, such as the result of `stdenv.mkDerivation`.',
      fields: { reason: 'not-a-derivation', attributes: [] },
    });
  }
  return new KilnError('evaluation-failed', 'The expression gives several derivations; one must be chosen', {
    where: what,
    hint: `Choose one with --attr: ${shown.join(', ')}${attributes.length > shown.length ? ' …' : ''}.`,
    fields: { reason: 'several-derivations', attributes: shown },
  });
}
