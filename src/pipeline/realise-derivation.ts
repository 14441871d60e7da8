/** The build step: derivation → outputs in the store, with every line of every builder in the log. */
import type { StorePath } from '../base/brand.ts';
import { isKilnError } from '../base/error.ts';
import { formatBytes } from '../base/units.ts';
import type { BuildContext } from '../build/attempt-context.ts';
import { saveDerivation } from '../build/reuse-queries.ts';
import type { NixEvent } from '../nix/internal-json.ts';
import { realise } from '../nix/realise.ts';
import { nameOf } from '../store/store-path.ts';
import type { FoundDerivation } from './find-derivation.ts';
import type { PipelineServices } from './pipeline-services.ts';

export interface RealisedBuild {
  readonly outPaths: readonly StorePath[];
  readonly builtCount: number;
  readonly substitutedCount: number;
}

/**
 * @param settings of Nix: which binary caches to ask
 * @throws KilnError build-failed, hash-mismatch, timed-out, silent-too-long, cancelled, disk-full
 */
export async function realiseDerivation(
  services: PipelineServices,
  found: FoundDerivation,
  buildId: string,
  context: BuildContext,
  settings: Readonly<Record<string, string>>,
): Promise<RealisedBuild> {
  const outputs = Object.keys(found.outputs);
  const started = services.clock.now();
  try {
    const realised = await realise(services.nix, found.drvPath, {
      ...(outputs.length === 0 ? {} : { outputs }),
      signal: context.signal,
      silenceMs: context.silenceMs,
      gcRoot: services.roots.linkOf(`build-${buildId}`),
      onStart: (pid) => context.recordProcess(pid),
      onEvent: followEvents(services, buildId, context),
      settings,
    });
    const outPaths = Object.values(realised.outputs);
    await saveDerivation(services.db, found.drvPath, {
      status: 'success',
      outPaths,
      durationMs: services.clock.now() - started,
      buildId,
    });
    return { outPaths, builtCount: realised.built.length, substitutedCount: realised.substituted.length };
  } catch (error) {
    // Only a builder's own failure says something about the derivation; the machine's reasons do not.
    if (isKilnError(error) && (error.code === 'build-failed' || error.code === 'hash-mismatch')) {
      const reason = {
        code: error.code,
        message: error.message,
        ...(error.where === undefined ? {} : { where: error.where }),
      };
      await saveDerivation(services.db, found.drvPath, { status: 'failed', reason, buildId });
    }
    throw error;
  }
}

function followEvents(
  services: PipelineServices,
  buildId: string,
  context: BuildContext,
): (event: NixEvent) => void {
  const tell = (text: string): void => services.onActivity(buildId, 'build', text);
  const phases = new Map<string, string>();
  return (event) => {
    switch (event.type) {
      case 'build-started':
        context.log(`building ${event.drvPath}`, { derivation: event.drvPath });
        tell(`building ${shortName(event.drvPath)}`);
        break;
      case 'build-finished':
        context.log(event.ok ? `built ${event.drvPath}` : `failed ${event.drvPath}`, {
          derivation: event.drvPath,
        });
        break;
      case 'build-waiting':
        tell(event.text);
        break;
      case 'phase':
        phases.set(event.drvPath, event.phase);
        context.log(`@phase ${event.phase}`, { derivation: event.drvPath });
        tell(`${shortName(event.drvPath)} ${event.phase}`);
        break;
      case 'log': {
        const { drvPath } = event;
        context.log(event.line, {
          stream: 'stderr',
          ...(drvPath === undefined ? {} : { derivation: drvPath }),
        });
        if (drvPath !== undefined)
          tell(`${shortName(drvPath)} ${phases.get(drvPath) ?? ''} ${event.line}`.replaceAll('  ', ' '));
        break;
      }
      case 'message':
        if (event.level <= 2) context.log(event.text, { stream: 'stderr' });
        break;
      case 'error':
        context.log(event.text, { stream: 'stderr' });
        break;
      case 'transfer-progress':
        if (event.expected > 0)
          tell(
            `${transferName(event.transfer)} ${formatBytes(event.done)} of ${formatBytes(event.expected)}`,
          );
        break;
      case 'transfer-started':
        context.log(`fetching ${transferName(event.transfer)}`);
        tell(`fetching ${transferName(event.transfer)}`);
        break;
      case 'activity':
        tell(event.text);
        break;
      case 'transfer-finished':
      case 'totals':
        break;
    }
  };
}

function transferName(transfer: Extract<NixEvent, { type: 'transfer-started' }>['transfer']): string {
  return transfer.kind === 'download' ? transfer.url : transfer.path;
}

function shortName(drvPath: StorePath): string {
  return nameOf(drvPath).replace(/\.drv$/, '');
}
