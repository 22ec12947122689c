import { execFile } from 'node:child_process';

/** What the openvpn that is installed says of its version, if there is one: also where only root looks. */
export async function installedRelease(): Promise<string | undefined> {
  return await new Promise((done) => {
    const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin` };
    // up to 2.5 it ends with status 1 all the same
    execFile('openvpn', ['--version'], { env }, (_, stdout) => {
      done(stdout.startsWith('OpenVPN ') ? stdout : undefined);
    });
  });
}

/** The same, looked up once, when it is first asked for. */
export function installedReleaseOnce(): () => Promise<string | undefined> {
  let release: Promise<string | undefined> | undefined;
  return () => (release ??= installedRelease());
}
