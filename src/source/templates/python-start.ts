/** How a Python application is started: by its settings, its Procfile, its framework, its scripts, its main file. */
import { KilnError } from '../../base/error.ts';
import type { TemplateRequest } from './template.ts';

export interface PythonStart {
  readonly command: string;
  readonly why: string;
  /** The program listens on PORT, as far as can be told. */
  readonly isServer: boolean;
}

export interface PythonProject {
  /** Normalised names of everything that is installed. */
  readonly packages: ReadonlySet<string>;
  /** Console scripts of the application itself. */
  readonly scripts: readonly string[];
}

const MODULE_FILES = [
  'main.py',
  'app.py',
  'wsgi.py',
  'asgi.py',
  'server.py',
  'api.py',
  'application.py',
  'app/main.py',
  'app/__init__.py',
  'src/main.py',
  'src/app.py',
  'api/main.py',
];
const PLAIN_FILES = [
  'main.py',
  'app.py',
  'server.py',
  'run.py',
  'wsgi.py',
  'bot.py',
  '__main__.py',
  'src/main.py',
];
const ASYNC_APPLICATION = /^(\w+)\s*(?::[^=\n]+)?=\s*(FastAPI|Starlette|Litestar|Quart|Sanic)\(/m;
const WSGI_APPLICATION = /^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?(Flask|Bottle|Falcon|App)\(/m;

/** @throws KilnError source-unrecognised */
export async function pythonStart(request: TemplateRequest, project: PythonProject): Promise<PythonStart> {
  const { settings, hints, tree } = request;
  if (settings.build?.start !== undefined)
    return { command: settings.build.start, why: 'kiln.toml names the start command', isServer: true };
  if (hints.start !== undefined)
    return { command: hints.start, why: `the ${hints.from ?? 'Procfile'}`, isServer: true };
  const found = (await djangoStart(request, project)) ?? (await frameworkStart(request, project));
  if (found !== undefined) return found;
  const [script] = project.scripts;
  if (script !== undefined)
    return { command: script, why: `the script ${script} of pyproject.toml`, isServer: false };
  const plain = PLAIN_FILES.find((name) => tree.has(name));
  if (plain !== undefined) return { command: `python ${plain}`, why: plain, isServer: false };
  const package_ = tree.paths
    .map((name) => /^(?:src\/)?([A-Za-z_]\w*)\/__main__\.py$/.exec(name)?.[1])
    .find((name) => name !== undefined);
  if (package_ !== undefined)
    return { command: `python -m ${package_}`, why: `${package_}/__main__.py`, isServer: false };
  throw new KilnError('source-unrecognised', 'Nothing tells how to start this Python application', {
    where: tree.directory,
    hint: 'Write `start = "python app.py"` below [build] in kiln.toml, or add a Procfile.',
    fields: {
      lookedFor: [
        'kiln.toml build.start',
        'Procfile',
        'Dockerfile CMD',
        'manage.py',
        ...MODULE_FILES,
        'project.scripts',
        '__main__.py',
      ],
    },
  });
}

async function djangoStart(
  { tree }: TemplateRequest,
  { packages }: PythonProject,
): Promise<PythonStart | undefined> {
  const manage = await tree.read('manage.py');
  if (manage === undefined) return undefined;
  const module = /DJANGO_SETTINGS_MODULE['"],\s*['"]([\w.]+)\.settings/.exec(manage)?.[1];
  if (module !== undefined && packages.has('gunicorn')) {
    return {
      command: `gunicorn --bind 0.0.0.0:$PORT ${module}.wsgi`,
      why: 'Django with gunicorn',
      isServer: true,
    };
  }
  if (module !== undefined && packages.has('uvicorn')) {
    return {
      command: `uvicorn --host 0.0.0.0 --port $PORT ${module}.asgi:application`,
      why: 'Django with uvicorn',
      isServer: true,
    };
  }
  return {
    command: 'python manage.py runserver --noreload 0.0.0.0:$PORT',
    why: 'Django, without a server for production',
    isServer: true,
  };
}

async function frameworkStart(
  { tree }: TemplateRequest,
  { packages }: PythonProject,
): Promise<PythonStart | undefined> {
  for (const name of MODULE_FILES) {
    const text = (await tree.read(name)) ?? '';
    const module = name.replace(/(\/__init__)?\.py$/, '').replaceAll('/', '.');
    const async_ = ASYNC_APPLICATION.exec(text);
    if (async_ !== null && packages.has('uvicorn')) {
      return {
        command: `uvicorn --host 0.0.0.0 --port $PORT ${module}:${async_[1]}`,
        why: `${async_[2]} in ${name} with uvicorn`,
        isServer: true,
      };
    }
    const wsgi = WSGI_APPLICATION.exec(text);
    if (wsgi === null) continue;
    if (packages.has('gunicorn'))
      return {
        command: `gunicorn --bind 0.0.0.0:$PORT ${module}:${wsgi[1]}`,
        why: `${wsgi[2]} in ${name} with gunicorn`,
        isServer: true,
      };
    if (packages.has('waitress'))
      return {
        command: `waitress-serve --listen=0.0.0.0:$PORT ${module}:${wsgi[1]}`,
        why: `${wsgi[2]} in ${name} with waitress`,
        isServer: true,
      };
    if (wsgi[2] === 'Flask')
      return {
        command: `flask --app ${module} run --host 0.0.0.0 --port $PORT`,
        why: `Flask in ${name}, without a server for production`,
        isServer: true,
      };
  }
  const factory = packages.has('flask') ? await flaskFactory(tree) : undefined;
  if (factory !== undefined) {
    return {
      command: packages.has('gunicorn')
        ? `gunicorn --bind 0.0.0.0:$PORT '${factory}:create_app()'`
        : `flask --app ${factory} run --host 0.0.0.0 --port $PORT`,
      why: `create_app in ${factory}${packages.has('gunicorn') ? ' with gunicorn' : ', without a server for production'}`,
      isServer: true,
    };
  }
  const script = MODULE_FILES.find((name) => tree.has(name));
  if (packages.has('streamlit') && script !== undefined) {
    return {
      command: `streamlit run ${script} --server.address 0.0.0.0 --server.port $PORT --server.headless true`,
      why: `Streamlit in ${script}`,
      isServer: true,
    };
  }
  return undefined;
}

/** The package whose `create_app` makes the application. */
async function flaskFactory(tree: TemplateRequest['tree']): Promise<string | undefined> {
  for (const name of tree.paths) {
    const module = /^(?:src\/)?([A-Za-z_]\w*)(?:\/__init__)?\.py$/.exec(name)?.[1];
    if (module !== undefined && /^def create_app\(/m.test((await tree.read(name)) ?? '')) return module;
  }
  return undefined;
}
