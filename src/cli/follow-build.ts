/** Shows a build while it happens and returns what came of it. */
import type { KilnApi } from '../api/kiln-api.ts';
import { KilnError } from '../base/error.ts';
import type { BuildView, LogLineView, StepView } from '../pipeline/build-view.ts';
import type { CommandContext } from './command-context.ts';
import { ProgressView, type StepStatus } from './progress-view.ts';

export interface FollowOptions {
  /** Print every log line above the steps. */
  readonly logs: boolean;
}

/** Interrupting cancels the build. @throws KilnError cancelled */
export async function followToEnd(
  context: CommandContext,
  kiln: KilnApi,
  build: BuildView,
  options: FollowOptions,
): Promise<BuildView> {
  using view = new ProgressView(
    context.err,
    build.steps.map((step) => step.name),
  );
  const cancel = (): void => void kiln.cancelBuild(build.id).catch(() => undefined);
  context.signal.addEventListener('abort', cancel, { once: true });
  try {
    // Following goes on after an interrupt: the last word is that the build was cancelled.
    for await (const event of kiln.followBuild(build.id, { signal: new AbortController().signal })) {
      switch (event.type) {
        case 'step':
          view.update(stepLine(event.step));
          break;
        case 'activity':
          view.update({ name: event.step, status: 'running', detail: event.text });
          break;
        case 'log':
          if (options.logs) view.print(formatLogLine(context, event.line));
          break;
        case 'queue':
          view.update({
            name: 'initiate',
            status: 'running',
            detail: `${event.reason} (place ${event.position} in the queue)`,
          });
          break;
        case 'notice':
          view.print(event.text);
          break;
        case 'end':
          return event.build;
      }
    }
  } finally {
    context.signal.removeEventListener('abort', cancel);
  }
  throw new KilnError('unreachable', `lost sight of build ${build.id} before it ended`, {
    hint: `It may still run: kiln show ${build.id}`,
  });
}

/** `12:03:11.204 web-1.0 text`, with the derivation that printed it, else the step. */
export function formatLogLine(context: CommandContext, line: LogLineView): string {
  const { style } = context.err;
  const origin =
    line.derivation?.replace(/^\/nix\/store\/[^-]+-/, '').replace(/\.drv$/, '') ?? line.step ?? 'kiln';
  return `${style('dim', line.at.slice(11, 23))} ${style('cyan', origin)} ${line.text}`;
}

function stepLine(step: StepView): { name: string; status: StepStatus; detail: string; durationMs?: number } {
  return {
    name: step.name,
    status: statusOf(step),
    detail: step.detail ?? '',
    ...(step.durationMs === undefined ? {} : { durationMs: step.durationMs }),
  };
}

function statusOf(step: StepView): StepStatus {
  switch (step.status) {
    case 'running':
      return 'running';
    case 'success':
      return step.reused === true ? 'reused' : 'done';
    case 'failed':
    case 'cancelled':
    case 'aborted':
      return 'failed';
    case 'skipped':
      return 'skipped';
    default:
      return 'pending';
  }
}
