// Drives bbb-promise. It returns the children of an element as lists of text.
'use strict'

const bbb = require('bbb-promise')
const { answerCalls, succeeded } = require('./answering')

const server = bbb.server(process.env.COMPAT_API_URL.replace(/\/api$/, ''), process.env.COMPAT_SECRET)

function first(element) {
  const pairs = Object.entries(element).map(([name, values]) => [name, values[0]])
  return Object.fromEntries(pairs.filter(([, value]) => typeof value === 'string'))
}

const ask = async (promise) => succeeded(first((await promise).response))
const list = async (promise, name) => {
  const [parent] = (await promise).response[`${name}s`]
  return (parent[name] || []).map((one) => ({ ...first(one), type: one.playback && one.playback[0].format[0].type[0] }))
}

const { administration, monitoring, recording } = server
answerCalls({
  create: (a) =>
    ask(administration.create(a.name, a.meeting_id, { attendeePW: a.attendee_pw, moderatorPW: a.moderator_pw })),
  join_url: (a) => administration.join(a.name, a.meeting_id, a.password),
  is_running: async (a) => (await ask(monitoring.isMeetingRunning(a.meeting_id))).running === 'true',
  info: (a) => ask(monitoring.getMeetingInfo(a.meeting_id)),
  meetings: () => list(monitoring.getMeetings(), 'meeting'),
  end: async (a) => (await ask(administration.end(a.meeting_id, a.password))).returncode === 'SUCCESS',
  recordings: (a) => list(recording.getRecordings({ meetingID: a.meeting_id }), 'recording'),
  publish: async (a) => (await ask(recording.publishRecordings(a.record_id, a.publish))).published === 'true',
  update: async (a) => (await ask(recording.updateRecordings(a.record_id, { [`meta_${a.key}`]: a.value }))).updated === 'true',
  delete: async (a) => (await ask(recording.deleteRecordings(a.record_id))).deleted === 'true',
})
