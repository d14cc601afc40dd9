import { TurnpikeError } from '../../../core/errors.ts';
import type { ToolDeclaration } from './declaration.ts';
import { as, flag, must, own, type Param, type Params, text, word } from './parameters.ts';
import { produced, sent } from './rest.ts';
import { VARIABLE } from './shapes.ts';

const SCOPE: Param = { ...as('filter[environment_scope]', text('such as production or *')), to: 'query' };
const FIELDS: Params = {
  variable_type: word('env_var', 'file'),
  protected: flag(),
  masked: flag(),
  hidden: flag(),
  raw: flag(),
  environment_scope: text(),
};

export const VARIABLES: readonly ToolDeclaration[] = [
  {
    name: 'list_project_variables',
    title: 'List CI/CD variables',
    description: 'CI/CD variables of a project, without their values.',
    ...{ toolset: 'variables', tier: 1, kind: 'R', routes: ['P/variables'], list: true, shape: VARIABLE, withhold: ['value'] },
  },
  {
    name: 'get_project_variable',
    title: 'Get a CI/CD variable',
    description: 'One CI/CD variable; its value only with reveal, where the operator allows it. Masked and hidden values never.',
    ...{ toolset: 'variables', tier: 1, kind: 'R', routes: ['P/variables/{key}'], shape: { ...VARIABLE, value: true } },
    params: { environment_scope: SCOPE, reveal: own(flag()) },
    run: async (work) => {
      const wanted = work.args.reveal === true;
      if (wanted && !work.settings.allowReveal) {
        throw new TurnpikeError('policy/denied', 'Values of variables are withheld. An operator can set gitlab.allowReveal', {
          rule: 'gitlab.allowReveal',
        });
      }
      const { value, ...rest } = await sent(work);
      // Only what GitLab says is neither masked nor hidden; older ones do not know `hidden`.
      const isOpen = rest.masked === false && (rest.hidden === false || rest.hidden === undefined || rest.hidden === null);
      return produced(wanted && isOpen ? { ...rest, value } : rest);
    },
  },
  {
    name: 'create_project_variable',
    title: 'Create a CI/CD variable',
    description: 'Creates a CI/CD variable of a project.',
    ...{ toolset: 'variables', tier: 2, kind: 'W', method: 'POST', routes: ['P/variables'], shape: VARIABLE, withhold: ['value'] },
    // GitLab has one parameter for both: a hidden variable is masked, and hidden from its creation on.
    params: { key: must(text()), value: must(text()), ...FIELDS, hidden: as('masked_and_hidden', flag()) },
  },
  {
    name: 'update_project_variable',
    title: 'Update a CI/CD variable',
    description: 'Changes a CI/CD variable of a project.',
    ...{
      toolset: 'variables',
      tier: 2,
      kind: 'W',
      method: 'PUT',
      routes: ['P/variables/{key}'],
      shape: VARIABLE,
      withhold: ['value'],
      idempotent: true,
    },
    params: {
      value: must(text()),
      ...omitHidden(FIELDS),
      filter_scope: as('filter[environment_scope]', { ...text('which of several'), to: 'query' }),
    },
  },
  {
    name: 'delete_project_variable',
    title: 'Delete a CI/CD variable',
    description: 'Deletes a CI/CD variable of a project.',
    ...{
      toolset: 'variables',
      tier: 2,
      kind: 'D',
      method: 'DELETE',
      routes: ['P/variables/{key}'],
      shape: VARIABLE,
      withhold: ['value'],
      idempotent: true,
    },
    params: { environment_scope: SCOPE },
    effect: ({ key, project_id }) => `Delete the CI/CD variable ${String(key)} of project ${String(project_id)}?`,
  },
];

function omitHidden({ hidden: _, ...rest }: Params): Params {
  return rest;
}
