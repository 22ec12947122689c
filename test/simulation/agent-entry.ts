// What each run of the agent has of its own: the agent's code, with all that it remembers in its modules.
export { Agent } from '../../src/agent/agent.ts';
export { AgentError, errorCode } from '../../src/errors.ts';
export { connectManagement, listenManagement } from '../../src/management/index.ts';
export { PathWatches } from '../../src/management/internal.ts';
