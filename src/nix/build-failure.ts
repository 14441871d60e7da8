/** Turns a failed `nix build` into an error that names the derivation at fault and what to do. Pure. */
import type { StorePath } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { formatSri, parseHash } from '../store/hash.ts';
import { isStorePath, nameOf } from '../store/store-path.ts';
import type { LogTails } from './log-tails.ts';
import { machineFailure, nixFailure } from './nix-failure.ts';

interface FailedBuild {
  readonly exitCode: number;
  readonly stderr: string;
  readonly errors: readonly string[];
}

interface Fault {
  readonly drvPath: StorePath;
  readonly text: string;
}

/** A dependency's failure is reported for everything above it, too; those messages are not the cause. */
const FOLLOWS_ANOTHER = /\d+ dependenc(?:y|ies)[^\n]*(?:failed)|Reason: \S*\d+ dependenc/;

const WANTS_NETWORK =
  /EAI_AGAIN|ENOTFOUND|getaddrinfo|ENETUNREACH|Could(?: not|n't) resolve host|name resolution|network is unreachable|fonts?[./]google/i;

/** @param wanted the derivation that was asked for; the one at fault may be below it */
export function describeBuildFailure(wanted: StorePath, result: FailedBuild, tails: LogTails): KilnError {
  const causes = result.errors.filter((text) => !FOLLOWS_ANOTHER.test(text));
  const cause = causes[0] ?? result.errors.at(-1);
  if (cause === undefined) return nixFailure('nix build', { ...result, stderr: plainLines(result.stderr) });
  const fault: Fault = { drvPath: faultyDerivation(cause) ?? wanted, text: cause };
  const lines = tails.of(fault.drvPath);
  const where = [fault.drvPath, ...lines].join('\n');
  const neededBy = fault.drvPath === wanted ? {} : { neededBy: wanted };
  return (
    hashMismatch(fault, neededBy) ??
    limitReached(fault, where, neededBy) ??
    machineFailure([cause, ...lines].join('\n')) ??
    wrongMachine(fault, neededBy) ??
    notReproducible(fault, neededBy) ??
    builderFailed(fault, where, lines, tails, neededBy) ??
    storeFailed(fault, neededBy)
  );
}

function builderFailed(
  { drvPath, text }: Fault,
  where: string,
  lines: readonly string[],
  tails: LogTails,
  extra: object,
): KilnError | undefined {
  if (
    !/builder for '|Cannot build '|failed with exit code|failed due to signal|failed to produce output/.test(
      text,
    )
  ) {
    return undefined;
  }
  const code = /failed with exit code (\d+)/.exec(text)?.[1];
  const signal = /failed due to signal (\d+)(?: \(([^)]*)\))?/.exec(text);
  const output = /failed to produce output path for output '([^']+)'/.exec(text)?.[1];
  const phase = tails.phaseOf(drvPath);
  const name = nameOf(drvPath).replace(/\.drv$/, '');
  const reason =
    output !== undefined
      ? `did not create its output \`${output}\``
      : code !== undefined
        ? `ended with exit code ${code}`
        : signal !== null
          ? `was ended by signal ${signal[1]}${signal[2] === undefined ? '' : ` (${signal[2]})`}`
          : 'failed';
  return new KilnError('build-failed', `Building ${name} failed: its builder ${reason}${inPhase(phase)}`, {
    where,
    hint: builderHint(drvPath, {
      output,
      killed: signal?.[1] === '9' || code === '137',
      silent: lines.length === 0,
      wantsNetwork: WANTS_NETWORK.test(lines.join('\n')),
    }),
    fields: {
      drvPath,
      ...(code === undefined ? {} : { exitCode: Number(code) }),
      ...(signal === null ? {} : { signal: Number(signal[1]) }),
      ...(phase === undefined ? {} : { phase }),
      logTail: lines,
      ...extra,
    },
  });
}

function builderHint(
  drvPath: StorePath,
  about: {
    readonly output: string | undefined;
    readonly killed: boolean;
    readonly silent: boolean;
    readonly wantsNetwork: boolean;
  },
): string {
  if (about.output !== undefined) return `The builder must create \`$${about.output}\`, a file or a folder.`;
  if (about.wantsNetwork)
    return 'A build has no network. What it downloads while it runs (fonts, ready-made programs, data) has to be in the repository or among its dependencies.';
  if (about.killed)
    return 'The machine may have run out of memory; see `dmesg`, or build fewer things at once.';
  if (about.silent)
    return 'It printed nothing; run its commands by hand, or add `set -x` to the build script.';
  return 'The last lines above say why; the log of the build has all of them.';
}

function hashMismatch({ drvPath, text }: Fault, extra: object): KilnError | undefined {
  const match = /hash mismatch in fixed-output derivation '[^']+':\s+specified:\s*(\S+)\s+got:\s*(\S+)/.exec(
    text,
  );
  if (match === null) return undefined;
  const [specified, got] = [toSri(match[1] ?? ''), toSri(match[2] ?? '')];
  const name = nameOf(drvPath).replace(/\.drv$/, '');
  return new KilnError('hash-mismatch', `${name} is not what its hash states`, {
    where: `${drvPath}\nspecified: ${specified}\n      got: ${got}`,
    hint: `If the change is wanted, write \`${got}\` where the expression has \`${specified}\` (\`hash\`, \`sha256\` or \`outputHash\` of ${name}).`,
    fields: { drvPath, name, specified, got, ...extra },
  });
}

function limitReached({ drvPath, text }: Fault, where: string, extra: object): KilnError | undefined {
  const match = /timed out after (\d+) seconds( of silence)?/.exec(text);
  if (match === null) return undefined;
  const name = nameOf(drvPath).replace(/\.drv$/, '');
  const fields = { drvPath, seconds: Number(match[1]), ...extra };
  return match[2] === undefined
    ? new KilnError('timed-out', `Building ${name} did not end within ${match[1]} s`, {
        where,
        fields,
        hint: 'Raise the time limit (`--timeout`), or make the build smaller.',
      })
    : new KilnError('silent-too-long', `Building ${name} printed nothing for ${match[1]} s`, {
        where,
        fields,
        hint: 'It may wait for input or for the network, which a build does not have; if it is only slow, raise `--silence`.',
      });
}

function wrongMachine({ drvPath, text }: Fault, extra: object): KilnError | undefined {
  const match =
    /a '([^']+)' with features \{([^}]*)\} is required/.exec(text) ??
    /Required system: '([^']+)' with features \{([^}]*)\}/.exec(text);
  if (match === null) return undefined;
  const own = /(?:but I am a|Current system:) '([^']+)' with features \{([^}]*)\}/.exec(text);
  const [system = '', features = ''] = match.slice(1);
  const missing = listed(features).filter((feature) => !listed(own?.[2] ?? '').includes(feature));
  const what = own?.[1] === system ? `the features ${missing.join(', ')}` : `the system ${system}`;
  return new KilnError('build-failed', `This machine has not ${what}, which ${nameOf(drvPath)} needs`, {
    where: drvPath,
    hint: 'Add a builder that has it (`builders` in nix.conf, or a Kiln worker), or build for another system.',
    fields: { drvPath, system, features: listed(features), machine: own?.[1], ...extra },
  });
}

function notReproducible({ drvPath, text }: Fault, extra: object): KilnError | undefined {
  if (!/may not be deterministic/.test(text)) return undefined;
  const paths = [...text.matchAll(/'([^']+)'/g)]
    .map((match) => match[1] ?? '')
    .filter((path) => path !== drvPath);
  return new KilnError('build-failed', `${nameOf(drvPath)} gives another result when it is built again`, {
    where: [drvPath, ...paths].join('\n'),
    hint: 'Compare the two results; usual causes are dates, random names, parallel order and hash seeds.',
    fields: { drvPath, reason: 'not-reproducible', paths, ...extra },
  });
}

function storeFailed({ drvPath, text }: Fault, extra: object): KilnError {
  const fields = { drvPath, ...extra };
  if (/unable to download|Could(?: not|n't) resolve host|unexpected end of|while fetching/.test(text)) {
    return new KilnError('dependency-fetch', 'A dependency could not be downloaded', {
      where: text,
      hint: 'Check that this machine reaches the address; the next attempt reuses what was already fetched.',
      fields,
    });
  }
  if (
    /is not valid|does not exist in the store|path '[^']+' does not exist|no substituter that can build it|missing derivation '/.test(
      text,
    )
  ) {
    return new KilnError('store-path-missing', 'A path that the build needs is not in the store', {
      where: text,
      hint: 'It may have been garbage-collected; start the build again, so that it is evaluated again.',
      fields,
    });
  }
  return new KilnError('build-failed', `Building ${nameOf(drvPath)} failed`, { where: text, fields });
}

/** The first derivation that the message quotes (`….drv`, or `….drv^out`). */
function faultyDerivation(text: string): StorePath | undefined {
  const path = /'(\/nix\/store\/[^'^!]+\.drv)(?:[\^!][^']*)?'/.exec(text)?.[1];
  return path !== undefined && isStorePath(path) ? path : undefined;
}

function toSri(text: string): string {
  try {
    return formatSri(parseHash(text, /^(md5|sha1|sha256|sha512)[:-]/.test(text) ? undefined : 'sha256'));
  } catch {
    return text;
  }
}

function listed(features: string): string[] {
  return features.split(/,\s*/).filter((feature) => feature !== '');
}

function inPhase(phase: string | undefined): string {
  return phase === undefined ? '' : ` in ${phase}`;
}

function plainLines(stderr: string): string {
  return stderr
    .split('\n')
    .filter((line) => !line.startsWith('@nix '))
    .join('\n');
}
