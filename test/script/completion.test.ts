import { chmod, mkdir } from 'node:fs/promises';
import { describe, expect, inject } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { Child } from '../support/child.ts';
import { MAIN } from '../support/pksigd.ts';

const PROMPT = 'READY> ';

/** How to start each shell as a person has it, with a prompt to wait for and pksigd's words. */
const SHELLS = {
  bash: { command: 'bash --noprofile --rcfile rc -i', rc: 'rc', set: `PS1='${PROMPT}'; . <(pksigd completion bash)` },
  zsh: {
    command: 'zsh -i',
    rc: '.zshrc',
    set: `PS1='${PROMPT}'; autoload -Uz compinit; compinit -u -d zcompdump; . <(pksigd completion zsh)`,
  },
} as const;

/** A folder with files to complete, and a pksigd that completes as the real one, and else says what it is called with. */
async function prepare(bench: Bench): Promise<Record<string, string>> {
  await mkdir(bench.path('bin'), { recursive: true });
  const asks = `[ "$1" = completion ] && exec "${process.execPath}" "${MAIN}" "$@"`;
  await bench.write('bin/pksigd', `#!/bin/sh\n${asks}\nprintf 'called'\nprintf '[%s]' "$@"\necho\n`);
  await chmod(bench.path('bin/pksigd'), 0o755);
  await bench.write('office.ovpn', 'management /run/office/management.sock unix\n');
  await bench.write('keyfile.pem', '');
  return {
    SOFTHSM2_CONF: await bench.token(),
    HOME: bench.folder,
    ZDOTDIR: bench.folder,
    TERM: 'dumb',
    PATH: `${bench.path('bin')}:${process.env['PATH'] ?? ''}`,
  };
}

/** A shell on a terminal. */
async function openShell(bench: Bench, shell: keyof typeof SHELLS): Promise<Child> {
  const { command, rc, set } = SHELLS[shell];
  const env = await prepare(bench);
  await bench.write(rc, `stty cols 1000 rows 50\n${set}\n`);
  const terminal = bench.adopt(
    new Child(shell, 'script', ['-qec', command, '/dev/null'], {
      env,
      cwd: bench.folder,
      interactive: true,
    }),
  );
  await terminal.said(/READY> /);
  return terminal;
}

/** What pksigd is called with when this is typed. */
async function called(shell: Child, typed: string): Promise<string> {
  const before = shell.count(/called\[/);
  shell.process.stdin.write(`${typed}\n`);
  const line = await shell.logged(/called\[/, before + 1);
  return /called(\[.*\])/.exec(line)?.[1] ?? line;
}

describe.concurrent.each(Object.keys(SHELLS) as (keyof typeof SHELLS)[])('%s completes', (name) => {
  test('commands, options, their choices, files', async ({ bench }) => {
    const shell = await openShell(bench, name);
    expect(await called(shell, 'pksigd stat\t')).toBe('[status]');
    expect(await called(shell, 'pksigd conf\tch\t')).toBe('[config][check]');
    expect(await called(shell, 'pksigd run --log-l\tdeb\t')).toBe('[run][--log-level][debug]');
    expect(await called(shell, 'pksigd sign --log-level=deb\t')).toBe('[sign][--log-level=debug]');
    expect(await called(shell, 'pksigd sign --key keyf\t')).toBe('[sign][--key][keyfile.pem]');
    expect(await called(shell, 'pksigd sign --key=keyf\t')).toBe('[sign][--key=keyfile.pem]');
    expect(await called(shell, 'pksigd management --js\t')).toBe('[management][--json]');
    expect(await called(shell, 'pksigd explain ERR_AUDIT_F\t')).toBe('[explain][ERR_AUDIT_FILE]');
    expect(await called(shell, 'pksigd help expl\t')).toBe('[help][explain]');
  });

  test('what the .ovpn says of the management interface', async ({ bench }) => {
    const shell = await openShell(bench, name);
    const address = '[/run/office/management.sock][unix]';
    expect(await called(shell, 'pksigd management --management /run/off\tun\t')).toBe(
      `[management][--management]${address}`,
    );
    expect(await called(shell, 'pksigd run --openvpn-config off\t--management /run/off\tun\t')).toBe(
      `[run][--openvpn-config][office.ovpn][--management]${address}`,
    );
  });

  test('URIs of keys that can be seen without a PIN', async ({ bench }) => {
    const module = inject('softhsmModule');
    const shell = await openShell(bench, name);
    const line = `pksigd sign --module ${module} --key `;
    const uri = /^\[sign\]\[--module\]\[.*\]\[--key\]\[pkcs11:token=pksigd;id=%02\?module-\w+=[\w./-]+\]$/;
    expect(await called(shell, `${line}'pkcs11:token=pksigd;id=%02\t`)).toMatch(uri);
    // without a quote the shell writes its own
    expect(await called(shell, `${line}pk\t2\t`)).toMatch(uri);
  });
});

// fish says itself what it would offer, so that no terminal is needed
test('fish completes', async ({ bench }) => {
  const env = await prepare(bench);
  const offered = async (line: string): Promise<string[]> => {
    const script = `pksigd completion fish | source; complete -C "${line}"`;
    const fish = bench.adopt(new Child('fish', 'fish', ['--no-config', '-c', script], { env, cwd: bench.folder }));
    await fish.exited;
    return fish.stdout.map((text) => text.split('\t')[0] ?? '');
  };
  expect(await offered('pksigd stat')).toEqual(['status']);
  expect(await offered('pksigd config ch')).toEqual(['check']);
  expect(await offered('pksigd run --log-level deb')).toEqual(['debug']);
  expect(await offered('pksigd sign --log-level=deb')).toEqual(['--log-level=debug']);
  expect(await offered('pksigd sign --key keyf')).toEqual(['keyfile.pem']);
  expect(await offered('pksigd sign --key=keyf')).toEqual(['--key=keyfile.pem']);
  expect(await offered('pksigd completion fi')).toEqual(['fish']);
  expect(await offered('pksigd management --management /run/off')).toEqual(['/run/office/management.sock']);
  expect(await offered('pksigd management --management /run/office/management.sock u')).toEqual(['unix']);
  const line = `pksigd sign --module ${inject('softhsmModule')} --key `;
  for (const quote of ["'", ''])
    expect(await offered(`${line}${quote}pkcs11:`)).toContainEqual(
      expect.stringMatching(/^pkcs11:token=pksigd;id=%02\?module-\w+=[\w./-]+$/),
    );
});
