#!/usr/bin/ruby
# frozen_string_literal: true

# BBB runs each *.rb in /usr/local/bigbluebutton/core/scripts/post_publish after a format was published, with
# `-m MEETING_ID` and, since 2.4, `-f FORMAT`. What is to be done is in Python, which BBB servers have too, in the
# directory above this one.

exec('/usr/bin/python3', File.expand_path('../scalelite_appliance.py', __dir__), *ARGV)
