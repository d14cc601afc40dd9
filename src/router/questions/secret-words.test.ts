import { describe, expect, it } from 'vitest';
import { cpuMsOf } from '../../core/sample-cpu-time.ts';
import { asksIn, namesSecret } from './secret-words.ts';

describe('namesSecret', () => {
  it.each([
    ...['password', 'Password', 'PASSWORD', 'passWord', 'userPassword', 'user_password', 'user-password', 'password2', 'dbpassword', 'Passwords'],
    ...['passwd', 'root_passwd', 'pwd', 'passphrase', 'pass phrase', 'pinCode', 'pin_code', 'PIN code', 'Your PIN'],
    ...['secret', 'clientSecret', 'client_secret', 'clientsecret', 'CLIENT-SECRET', 'secrets', 'top_secret_value'],
    ...['token', 'accessToken', 'access_token', 'GITHUB_TOKEN', 'authtoken', 'API tokens', 'Personal access token', 'tokenValue'],
    ...['apiKey', 'api_key', 'api-key', 'API key', 'APIKey', 'apikey', 'X-API-Key', 'openaiApiKey', 'api keys', 'API key1'],
    ...['accessKey', 'aws_access_key_id', 'secret_access_key', 'privateKey', 'private_key', 'PRIVATE KEY', 'ssh_private_key', 'signingKey'],
    ...['credential', 'credentials', 'AwsCredentials', 'db_creds', 'bearer', 'Bearer value', 'otp', 'otpCode', 'OTP', 'oneTimeCode', 'one-time code'],
    ...['one-time password', '2fa code', '2FACode', 'verification_code', 'cvv', 'CVV2', 'cvc', 'cardNumber', 'card_number', 'Credit card number'],
    ...[
      'The password of your account',
      'Paste the token that you were given',
      'p a s s w o r d',
      'P.A.S.S.W.O.R.D',
      'pass\u200bword',
      'ｐａｓｓｗｏｒｄ',
    ],
    ...['pаsswоrd', 'pässwörd', 'Passwort', 'contraseña', 'mot de passe', 'пароль', '密码', 'パスワード', '비밀번호'],
    ...['newToken', 'New token', 'context token', 'pass', 'Pass', 'pw', '6-digit code', 'Authorization header', 'session_cookie', 'accountKey'],
  ])('%j', (text) => {
    expect(namesSecret(text)).toBe(true);
  });

  it.each([
    ...['keyboard', 'tokenize', 'tokenizer', 'tokenized_text', 'max_tokens', 'maxTokens', 'Maximum tokens', 'number of tokens', 'token_count'],
    ...['tokenLimit', 'tokens per minute', 'primary key', 'primaryKey', 'foreign_key', 'key', 'keys', 'sort_key', 'public_key', 'keyword', 'Key'],
    ...['name', 'email', 'pin', 'spinCode', 'pinned', 'opinion', 'secretary', 'passenger', 'compass', 'passport_number', 'boarding pass', 'bypass'],
    ...[
      'passwordless',
      'passwordPolicy',
      'password_length',
      'secret_name',
      'Name of the secret',
      'token type',
      'API key name',
      'number of the tokens',
    ],
    ...['card', 'number', 'cardboard number', 'house number', 'code', 'postcode', 'country code', 'one time', 'accredited', 'stop token'],
    ...['optional', 'adopt', 'option', 'bear', 'forbearer', 'apikeyboard'.slice(3), 'api', 'access', 'private', 'client', '', '…', '日本語'],
    ...['max_new_tokens', 'total tokens', 'stop_token', 'eosToken', 'prompt tokens', 'Name of your token', 'pass rate', 'password reset email'],
    ...['token_url', 'Token bucket size', 'Secret Santa partner', 'Postal PIN code', 'idempotency_key', 'Session id', 'Credit limit'],
  ])('not %j', (text) => {
    expect(namesSecret(text)).toBe(false);
  });
});

describe('a text of a stranger', () => {
  it.each([
    ['dots', '.'],
    ['dots and letters', '..a'],
    ['marks that are put in order', 'a\u0301\u0323'],
    ['marks alone', '\u0301\u0323'],
    ['capitals', 'A'],
    ['changing case', 'aA'],
    ['single letters', 'p '],
    ['articles', 'the '],
    ['secrets', 'enter token count '],
    ['ligatures', '\ufdfa'],
    ['broken pairs', '\ud800'],
  ])('of many %s is read in time that grows with its length', (_, unit) => {
    const text = unit.repeat(200_000 / unit.length);
    const ms = cpuMsOf(() => {
      namesSecret(text);
      asksIn(`${text}x`);
    });
    // Were it to grow with the square, it would take minutes.
    expect(ms).toBeLessThan(4000);
  });
});

describe('asksIn', () => {
  it.each([
    ...['Enter your password', 'Please paste your API key here.', 'paste your GitHub token', 'What is your PIN code?', "What's your password?"],
    ...['Password:', 'API key', 'A password is required to continue', 'Your credentials please', 'Type the one-time code that we sent you'],
    ...['Hello! To go on, enter the secret.', 'I need your private key', 'Do not hesitate to enter your password', 'Log in.\nEnter password'],
    ...['We never send spam. Provide the access token of the service.', 'ENTER YOUR PASSWORD', 'Please provide the card number and CVV'],
    ...['Enter the new token', 'Please enter the 6-digit code that we sent to your phone', 'Enter your user name for GitHub and your password'],
    ...['Let me know your API key', 'To go on I need your user name with the password', 'Paste here, below, the private key of the server'],
  ])('%j', (text) => {
    expect(asksIn(text)).toBe(true);
  });

  it.each([
    ...[
      'Your password was changed yesterday.',
      'Enter your name',
      'Which key of the keyboard do you press?',
      'Enter the name of the secret to rotate',
    ],
    ...['Enter max tokens for the summary', 'Never enter your password here; enter your name', 'We will never ask you to enter your password'],
    ...['Please do not paste tokens', 'The token budget of this month is nearly spent. Go on?', 'Choose the primary key of the table', ''],
    ...['Enter a name for the new access token', 'Enter the repository that holds the tokens', 'Please write a message to the token holders'],
    ...['Your API key is stored. What is your name?', 'Type DELETE to remove the password policy'],
  ])('not %j', (text) => {
    expect(asksIn(text)).toBe(false);
  });
});
