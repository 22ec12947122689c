import { AgentError, errorCode, errorText } from '../../errors.ts';
import type { AnswerMemory, AnswerPrint } from './answer-memory.ts';
import { NotYet, type Plan } from './plan.ts';
import { firstLineOf } from '../../shell-command.ts';
import type { Asked, TunnelAnswers } from './tunnel-answers.ts';

/** Milliseconds after which a command that gave nothing, or an answer that was refused, may give another. */
const NEXT_CODE = 10_000;

/**
 * The response to a challenge, by the settings' command.
 * @throws NotYet without a command; AgentError ERR_ANSWER if it gives none, ERR_ABORTED
 */
export async function responseTo(asked: Asked, tunnel: TunnelAnswers, signal: AbortSignal): Promise<string> {
  const { challengeCommand } = tunnel.settings;
  if (challengeCommand === undefined)
    throw new NotYet(
      new AgentError('ERR_ANSWER', 'the server asks for the response to a challenge', {
        reason: 'no-challenge-command',
      }),
    );
  const response = await tunnel.run(challengeCommand, asked, signal).then(firstLineOf).catch(refuse);
  if (response === undefined) throw new AgentError('ERR_ANSWER', 'the command for challenges prints no response');
  return response;
}

/** @throws AgentError ERR_ANSWER in place of a command's error */
function refuse(error: unknown): never {
  if (errorCode(error) !== undefined) throw error;
  throw new AgentError('ERR_ANSWER', `no response to a challenge: ${errorText(error)}`);
}

/** CR_TEXT, which a server asks while it keeps the authentication pending. */
export function planChallengeText(text: string, isEchoed: boolean, tunnel: TunnelAnswers): Plan | undefined {
  if (tunnel.settings.challengeCommand === undefined) return undefined;
  const memory = tunnel.memory('CR_TEXT');
  return {
    ...{ type: 'INFOMSG', name: 'CR_TEXT', text, right: 'operate' },
    prepare: async (signal) => {
      refuseAgain(memory, {});
      const asked = { question: 'cr-text', text, variables: echoVariable(isEchoed) };
      const response = await responseTo(asked, tunnel, signal);
      const sent = { response: memory.print([text, response]), at: tunnel.clock.now() };
      refuseAgain(memory, sent);
      return {
        send: async (client, options) => {
          // whether it is right only a connection tells: until then it counts as refused
          memory.refuse(sent);
          await client.crResponse(response, options);
        },
      };
    },
  };
}

/** @throws NotYet for the response to a challenge that was refused, or if too many were */
export function refuseAgain(memory: AnswerMemory, answer: AnswerPrint): void {
  if (!memory.isRefused(answer)) return;
  const what = answer.response === undefined ? 'responses to challenges were' : 'this response to a challenge was';
  throw new NotYet(new AgentError('ERR_ANSWER_REFUSED', `${what} refused: none is sent for now`), NEXT_CODE);
}

/** What a command is told of whether the response may be seen while it is typed. */
export function echoVariable(isEchoed: boolean): Record<string, string> {
  return { PKSIGD_ECHO: isEchoed ? '1' : '0' };
}
