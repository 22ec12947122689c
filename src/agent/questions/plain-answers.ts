import type { AnswerSettings } from '../../config/answers.ts';
import type { NotificationOf } from '../../management/index.ts';
import type { Plan } from './plan.ts';

function of<Value>(table: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Something is to be confirmed. */
export function planNeedOk({ type, name }: NotificationOf<'NEED-OK'>, { needOk }: AnswerSettings): Plan | undefined {
  const answer = of(needOk, name);
  return answer === undefined
    ? undefined
    : plain({ type, name, right: 'operate' }, (client, options) => client.needOk(name, answer, options));
}

/** Something is to be told. */
export function planNeedStr({ type, name }: NotificationOf<'NEED-STR'>, { needStr }: AnswerSettings): Plan | undefined {
  const answer = of(needStr, name);
  return answer === undefined
    ? undefined
    : plain({ type, name, right: 'operate' }, (client, options) => client.needStr(name, answer, options));
}

/** Which server to connect to. */
export function planRemote({ type }: NotificationOf<'REMOTE'>, { remote }: AnswerSettings): Plan | undefined {
  if (remote === undefined) return undefined;
  return plain({ type, right: 'all' }, (client, options) => {
    switch (remote.action) {
      case 'ACCEPT':
        return client.remoteAccept(options);
      case 'SKIP':
        return client.remoteSkip(remote.count, options);
      case 'MOD':
        return client.remoteModify(remote.host, remote.port, options);
    }
  });
}

/** Which proxy to take. */
export function planProxy({ type }: NotificationOf<'PROXY'>, { proxy }: AnswerSettings): Plan | undefined {
  if (proxy === undefined) return undefined;
  return plain({ type, right: 'all' }, (client, options) => client.proxy(proxy, options));
}

type Send = Awaited<ReturnType<Plan['prepare']>>['send'];

function plain(question: Pick<Plan, 'type' | 'name' | 'right'>, send: Send): Plan {
  return { ...question, text: '', prepare: () => Promise.resolve({ send }) };
}
