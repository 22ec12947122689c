import { AgentError, errorCode, errorText } from '../../errors.ts';
import type { InfoMessage, WebAuthProxy } from '../../management/index.ts';
import { NotYet, type Plan } from './plan.ts';
import type { TunnelAnswers } from './tunnel-answers.ts';

type Link = Extract<InfoMessage, { kind: 'WEB_AUTH' | 'OPEN_URL' }>;

/** A link by which a person logs in: handed to the settings' command. The daemon gets no answer. */
export function planLink(link: Link, tunnel: TunnelAnswers): Plan | undefined {
  const { openUrlCommand } = tunnel.settings;
  if (openUrlCommand === undefined) return undefined;
  const { kind, url } = link;
  const [flags, proxy] = link.kind === 'WEB_AUTH' ? [link.flags.join(','), link.proxy] : ['', undefined];
  return {
    ...{ type: 'INFOMSG', name: kind, text: url, right: 'operate', isAction: true },
    prepare: async (signal) => {
      // whatever else a server names is not opened: a file, a program
      if (!/^https?:\/\/[^\s\x00-\x1f\x7f]+$/i.test(url))
        throw new NotYet(new AgentError('ERR_ANSWER', 'the server names a link that is none of http or https'));
      const text = proxy === undefined ? url : `${url}\n${proxyUrl(proxy)}`;
      const asked = {
        question: kind === 'WEB_AUTH' ? 'web-auth' : 'open-url',
        text,
        variables: { PKSIGD_FLAGS: flags.replace(/[^\w,=-]/g, '') },
      };
      await tunnel.run(openUrlCommand, asked, signal, true).catch((error: unknown) => {
        if (errorCode(error) !== undefined) throw error;
        // what a person may have seen already is not opened once more
        throw new NotYet(new AgentError('ERR_ANSWER', `the link was not opened: ${errorText(error)}`));
      });
      return { send: () => Promise.resolve() };
    },
  };
}

/** The proxy that the link goes through, as a second line. */
function proxyUrl({ host, port, user, password }: WebAuthProxy): string {
  const login = user === undefined ? '' : `${[user, password ?? ''].map(encodeURIComponent).join(':')}@`;
  return `http://${login}${host.includes(':') ? `[${host}]` : host}:${port}`;
}
