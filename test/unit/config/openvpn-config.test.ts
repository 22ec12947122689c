import { describe, expect, it } from 'vitest';
import { managementDirectives, readOpenVpnConfig } from '../../../src/config/openvpn-config.ts';

// what is read as a real openvpn reads it: test/conformance/openvpn-config.test.ts

const PATH = '/etc/openvpn/client/office.conf';
const read = (files: Record<string, string>) =>
  readOpenVpnConfig(PATH, (path) => Promise.resolve(Buffer.from(files[path] ?? `# ${path}`)));
const parse = async (text: string) => managementDirectives(await read({ [PATH]: text }));

describe('readOpenVpnConfig', () => {
  it.each([
    ['management 127.0.0.1 7505', ['127.0.0.1', '7505']],
    ['management office.sock unix pw', ['/etc/openvpn/client/office.sock', 'unix', '/etc/openvpn/client/pw']],
    ['management /run/o.sock unix stdin', ['/run/o.sock', 'unix', 'stdin']],
    ['management ::1 1 /pw\r\nverb 3', ['::1', '1', '/pw']],
    ['management 127.0.0.1 1\nmanagement 127.0.0.1 2', ['127.0.0.1', '2']],
    ['management a unix\ncd /run', ['/run/a', 'unix']],
    ['cd /run\ncd x\nmanagement a unix', ['/run/x/a', 'unix']],
  ])('%j', async (text, management) => {
    expect(await parse(text)).toEqual({ management, managementClient: false });
  });

  it('passes over inline blocks, sees management-client', async () => {
    const text = '<ca>\nmanagement 10.0.0.1 1\n"\n</ca>\nmanagement-client\nmanagement 127.0.0.1 2\n';
    expect(await parse(text)).toEqual({ management: ['127.0.0.1', '2'], managementClient: true });
  });

  it('adds up what management-external-key says', async () => {
    const { directives } = await read({ [PATH]: 'management-external-key pss\nmanagement-external-key pkcs1 digest' });
    expect(directives.get('management-external-key')).toEqual(['pss', 'pkcs1', 'digest']);
  });

  it('keeps the text of the block that stood last', async () => {
    const first = await read({ [PATH]: '<cert>\na\n b\n</cert>\n<cert>\nc\n</cert>' });
    expect(first.inline.get('cert')).toBe('c\n');
    const second = await read({ [PATH]: '<cert>\na\n</cert>\ncert [inline]' });
    expect(second.inline.get('cert')).toBeUndefined();
    expect(second.directives.get('cert')).toEqual(['[inline]']);
  });

  it.each([
    ['client', /no management directive/],
    ['\nmanagement 127.0.0.1', /office.conf:2: management takes/],
    ['remote "x', /office.conf:1: No closing quotation/],
    ['<ca>\nx\n</ca>\n<ca>', /office.conf:4: Endtag <\/ca> missing/],
    ['<ca>\nx\n</ca>\nC:\\tmp', /office.conf:4: Bad backslash/],
    ['<management>\nx\n</management>', /management takes/],
    ['<ca>\nx\n</ca>\n<ca> x', /office.conf:4: Unrecognized option '<ca>'/],
    ['client\n--', /office.conf:2: Unrecognized option '--'/],
    ['client\n"" x', /office.conf:2: Unrecognized option ''/],
    ['config stdin', /standard input/],
    ['config office.conf', /10 levels deep/],
    ['config office.conf\n'.repeat(20), /10 levels deep/],
  ])('refuses %j', async (text, message) => {
    await expect(parse(text)).rejects.toMatchObject({ code: 'ERR_CONFIG', message: expect.stringMatching(message) });
  });

  it('ends where configurations include others without end', async () => {
    const files = Object.fromEntries(
      Array.from({ length: 9 }, (_, level) => [
        level === 0 ? PATH : `/etc/openvpn/client/${level}`,
        `config ${level + 1}\n`.repeat(10),
      ]),
    );
    await expect(read(files)).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringMatching(/100 files/),
    });
  });
});
