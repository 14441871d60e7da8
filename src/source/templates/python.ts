/** Template `python`: requirements or a lock, installed from wheels into an environment of its own. */
import { evaluateMarker } from '../dependencies/environment-marker.ts';
import { pythonWheels } from '../dependencies/fetch-python.ts';
import { parsePythonLock } from '../dependencies/python-lock.ts';
import { readRequirements } from '../dependencies/python-requirements.ts';
import { storeName } from '../nix-text.ts';
import { findPythonLock, recognisePython } from '../recognise/detect-python.ts';
import { pythonExpression } from './python-expression.ts';
import { pythonStart } from './python-start.ts';
import { readPyproject, type Pyproject } from './pyproject.ts';
import type { Template, TemplatePlan, TemplateRequest } from './template.ts';

/** The packaged Python whose wheels are downloaded. */
const PYTHON = '3.13';

export const pythonTemplate: Template = {
  name: 'python',
  title: 'Python',
  description:
    'requirements.txt, pyproject.toml, uv.lock, poetry.lock, pdm.lock or Pipfile.lock; Django, Flask, FastAPI and plain programs',
  recognise: recognisePython,
  plan: planPython,
  starter: {
    'main.py': `import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"Hello from Python\\n"
        self.send_response(200)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("PORT", "8000"))), Handler).serve_forever()
`,
    'kiln.toml': '[health]\nhttp = "/"\n',
  },
};

interface Wanted {
  readonly lines: readonly string[];
  readonly locked: boolean;
  readonly extraIndexes: readonly string[];
  readonly notes: readonly string[];
}

async function planPython(request: TemplateRequest): Promise<TemplatePlan> {
  const { tree, settings, hints, context } = request;
  const project = await readPyproject(tree);
  const wanted = await findRequirements(request, project);
  const installsProject = project?.buildRequirements !== undefined;
  const set =
    wanted.lines.length === 0 && !installsProject
      ? undefined
      : await pythonWheels(
          { ...wanted, python: PYTHON, buildRequirements: ['pip', ...(project?.buildRequirements ?? [])] },
          context,
        );
  const packages = new Set(
    (set?.packages ?? []).map((entry) => entry.name.toLowerCase().replace(/[-_.]+/g, '-')),
  );
  const start = await pythonStart(request, { packages, scripts: project?.scripts ?? [] });
  const port = settings.image?.ports?.[0] ?? hints.port ?? 8000;
  const listens =
    start.isServer || settings.health?.http !== undefined || settings.image?.ports !== undefined;
  const recorded = (set?.packages ?? []).filter((entry) => !entry.locked && entry.name !== 'pip').length;
  return {
    expression: pythonExpression({
      name: storeName(project?.name ?? request.fallbackName, 'app'),
      version: project?.version ?? '0.0.0',
      python: PYTHON,
      set,
      requirements: wanted.lines,
      compiles: set?.packages.some((entry) => entry.source === true) ?? false,
      installsProject,
      writable: settings.build?.writable ?? false,
      start: start.command,
      ...(settings.build?.command === undefined ? {} : { command: settings.build.command }),
      ...(settings.build?.test === undefined ? {} : { test: settings.build.test }),
    }),
    settings: {
      image: { env: { PORT: String(port), PYTHONUNBUFFERED: '1' }, ...(listens ? { ports: [port] } : {}) },
      ...(listens ? { health: { tcp: true, port } } : {}),
    },
    dependencies: set === undefined ? [] : [set],
    notes: [
      `started by: ${start.why}`,
      ...wanted.notes,
      ...(set === undefined ? [] : [`${set.packages.length} packages for Python ${PYTHON}`]),
      ...(recorded === 0
        ? []
        : [`${recorded} of them have no hash in a lock: resolved once and recorded on this machine`]),
    ],
  };
}

async function findRequirements(request: TemplateRequest, project: Pyproject | undefined): Promise<Wanted> {
  const { tree, context } = request;
  const lock = findPythonLock(tree);
  if (lock !== undefined) {
    const machine = context.nix.system.startsWith('aarch64') ? 'aarch64' : 'x86_64';
    const pinned = parsePythonLock(lock, (await tree.read(lock)) ?? '').filter(
      ({ marker }) => marker === undefined || evaluateMarker(marker, { python: PYTHON, machine }) !== false,
    );
    const lines = pinned.map(
      ({ name, version, hashes }) => `${name}==${version}${hashes.map((hash) => ` --hash=${hash}`).join('')}`,
    );
    const hashed = pinned.every(({ hashes }) => hashes.length > 0);
    return { lines, locked: hashed, extraIndexes: [], notes: [`${pinned.length} packages of ${lock}`] };
  }
  if (tree.has('requirements.txt')) {
    const found = await readRequirements(tree, 'requirements.txt');
    const own = found.includesProject ? (project?.dependencies ?? []) : [];
    return {
      lines: [...found.lines, ...own],
      locked: found.hashed && own.length === 0,
      extraIndexes: found.extraIndexes,
      notes: found.notes,
    };
  }
  return { lines: project?.dependencies ?? [], locked: false, extraIndexes: [], notes: [] };
}
