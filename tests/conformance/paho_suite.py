"""Runs one of Eclipse Paho's interoperability test files against a broker and says how each test went.

Usage: paho_suite.py MODULE PORT, from the folder that holds the tests. One line for each test: `pass`, `fail` or `skip`,
then its name. What the tests print goes to standard error.
"""

import contextlib
import importlib
import logging
import signal
import sys
import unittest
import warnings

TOPICS = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
WILDCARDS = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")


# Some tests wait for ever for what a broker does not do.
SECONDS_MAX = 90


class Lines(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        signal.alarm(SECONDS_MAX)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)

    def say(self, how, test):
        print(how, test.id().split(".")[-1], file=sys.__stdout__, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.say("pass", test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.say("fail", test)
        print(self.failures[-1][1], file=sys.stderr)

    def addError(self, test, error):
        super().addError(test, error)
        self.say("fail", test)
        print(self.errors[-1][1], file=sys.stderr)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say("skip", test)


def too_long(signal_number, frame):
    raise TimeoutError(f"the test takes longer than {SECONDS_MAX} s")


def main():
    signal.signal(signal.SIGALRM, too_long)
    name, port = sys.argv[1], int(sys.argv[2])
    sys.path.insert(0, ".")
    warnings.simplefilter("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    module = importlib.import_module(name)
    # The files set these as globals of their own main program.
    prefix = f"{name}/" if name == "client_test5" else ""
    module.topic_prefix, module.host, module.port = prefix, "127.0.0.1", port
    module.topics = [prefix + topic for topic in TOPICS]
    module.wildtopics = [prefix + topic for topic in WILDCARDS]
    module.nosubscribe_topics = ("test/nosubscribe",)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    with contextlib.redirect_stdout(sys.stderr):
        suite.run(Lines())


main()
