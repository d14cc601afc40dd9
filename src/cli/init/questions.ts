import { confirm, intro, isCancel, multiselect, outro, text } from '@clack/prompts';
import type { Surroundings } from '../surroundings.ts';

/** One thing to choose. */
export interface Choice<Value> {
  readonly value: Value;
  readonly label: string;
  readonly hint?: string;
}

/** Asks a person. Every answer is undefined when they would rather stop. */
export interface Questions {
  open(title: string): void;
  several<Value>(message: string, choices: readonly Choice<Value>[]): Promise<readonly Value[] | undefined>;
  yes(message: string, otherwise: boolean): Promise<boolean | undefined>;
  text(message: string, otherwise: string, problem: (value: string) => string | undefined): Promise<string | undefined>;
  close(message: string): void;
}

/** Questions on the terminal. */
export function terminalQuestions({ stdin: input, stdout: output }: Pick<Surroundings, 'stdin' | 'stdout'>): Questions {
  const common = { input, output };
  return {
    open: (title) => intro(title, common),
    async several(message, choices) {
      const options = choices.map(({ value, label, hint }) => ({
        value: String(choices.findIndex((one) => one.value === value)),
        label,
        ...(hint === undefined ? {} : { hint }),
      }));
      const chosen = await multiselect({ ...common, message, options, initialValues: options.map(({ value }) => value), required: false });
      return isCancel(chosen) ? undefined : choices.filter((_choice, index) => chosen.includes(String(index))).map(({ value }) => value);
    },
    async yes(message, otherwise) {
      const answer = await confirm({ ...common, message, initialValue: otherwise });
      return isCancel(answer) ? undefined : answer;
    },
    async text(message, otherwise, problem) {
      const answer = await text({
        ...common,
        message,
        placeholder: otherwise,
        defaultValue: otherwise,
        validate: (value) => problem(value || otherwise),
      });
      return isCancel(answer) ? undefined : answer;
    },
    close: (message) => outro(message, common),
  };
}
