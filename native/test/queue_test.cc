// The background executor: order within a queue, priority between instructions, turns between owners, cancellation, closing.
#include "../runtime/queue.h"

#include <atomic>
#include <memory>
#include <thread>

#include "programs.h"

using namespace chainrule;
using namespace chainrule::test;

namespace {

/// `steps` instructions that sleep for `microseconds` each; slot 0 is the generator's state, slot 1 the output.
Words sleepy(int steps, int microseconds, int commit = -1) {
  Builder b;
  const int32_t state = b.slot(), y = b.slot();
  for (int i = 0; i < steps; ++i)
    b.add(Opcode::random, {dense(state, {4}, DType::int32)}, {dense(y, {16})}, {0, bits(0), bits(1), microseconds});
  return b.words(commit);
}

struct Finished {
  Mutex mutex;
  std::vector<Job*> order;
  std::atomic<int> count{0};
};

void completed(void* context, Job* job) {
  Finished& finished = *static_cast<Finished*>(context);
  Lock lock(finished.mutex);
  finished.order.push_back(job);
  finished.count.fetch_add(1);
}

struct Work {
  Program program;
  std::unique_ptr<SlotSet> slots;
  Job job;
  explicit Work(const Words& words) {
    EXPECT(program.decode(words.data(), static_cast<int64_t>(words.size()), testKernels()).ok());
    slots = std::make_unique<SlotSet>(program);
    job.program = &program;
    job.slots = slots->data();
  }
  void submit(Queue& queue) { EXPECT(Executor::instance().submit(queue, job)); }
};

void awaitCount(Finished& finished, int count) {
  while (finished.count.load() < count) std::this_thread::yield();
}

void runsInOrder() {
  Finished finished;
  Owner owner(completed, &finished);
  Queue queue(owner, 0), *queues[] = {&queue};
  std::vector<std::unique_ptr<Work>> works;
  for (int i = 0; i < 50; ++i) works.push_back(std::make_unique<Work>(sleepy(2, 10)));
  for (auto& work : works) work->submit(queue);
  Executor::instance().wait(works[20]->job);
  for (int i = 0; i <= 20; ++i) EXPECT(works[static_cast<size_t>(i)]->job.done.load());
  awaitCount(finished, 50);
  for (size_t i = 0; i < 50; ++i) EXPECT(finished.order[i] == &works[i]->job && works[i]->job.status.ok());
  EXPECT(owner.unfinished() == 0);
  EXPECT(!Executor::instance().close(owner, queues, 1));
}

void givesWayToPriority() {
  Finished finished;
  Owner owner(completed, &finished);
  Queue low(owner, 0), high(owner, 1), *queues[] = {&low, &high};
  Work training(sleepy(40, 5000)), committed(sleepy(20, 5000, 0)), first(sleepy(1, 10)), second(sleepy(1, 10));
  training.submit(low);
  std::this_thread::sleep_for(std::chrono::milliseconds(12));
  first.submit(high);
  Executor::instance().wait(first.job);
  EXPECT(!training.job.done.load());
  Executor::instance().wait(training.job);
  awaitCount(finished, 2);
  EXPECT(finished.order[0] == &first.job);
  EXPECT(training.job.elapsedNanoseconds >= 200'000'000);
  // From the commit index on nothing comes in between.
  committed.submit(low);
  std::this_thread::sleep_for(std::chrono::milliseconds(12));
  second.submit(high);
  Executor::instance().wait(second.job);
  EXPECT(committed.job.done.load());
  awaitCount(finished, 4);
  EXPECT(!Executor::instance().close(owner, queues, 2));
}

void takesTurns() {
  Finished finished;
  Owner a(completed, &finished), b(completed, &finished);
  Queue queueA(a, 0), queueB(b, 0), *queuesA[] = {&queueA}, *queuesB[] = {&queueB};
  Work block(sleepy(1, 90000));
  std::vector<std::unique_ptr<Work>> works;
  for (int i = 0; i < 20; ++i) works.push_back(std::make_unique<Work>(sleepy(1, 10)));
  block.submit(queueA);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  for (size_t i = 0; i < 10; ++i) works[i]->submit(queueA);
  for (size_t i = 10; i < 20; ++i) works[i]->submit(queueB);
  awaitCount(finished, 21);
  for (size_t i = 1; i < 21; ++i) EXPECT((finished.order[i]->queue == &queueB) == (i % 2 == 1));
  Executor::instance().close(a, queuesA, 1);
  Executor::instance().close(b, queuesB, 1);
}

void closesInMidWork() {
  for (int round = 0; round < 20; ++round) {
    auto finished = std::make_unique<Finished>();
    auto owner = std::make_unique<Owner>(completed, finished.get());
    auto low = std::make_unique<Queue>(*owner, 0), high = std::make_unique<Queue>(*owner, 1);
    Queue* queues[] = {low.get(), high.get()};
    std::vector<std::unique_ptr<Work>> works;
    for (int i = 0; i < 10; ++i) works.push_back(std::make_unique<Work>(sleepy(50, 200)));
    for (size_t i = 0; i < 10; ++i) works[i]->submit(i % 3 == 2 ? *high : *low);
    std::this_thread::sleep_for(std::chrono::microseconds(round * 100));
    works[0]->job.cancel.store(true);
    int dropped = 0;
    for (Job* job = Executor::instance().close(*owner, queues, 2); job; job = job->next) ++dropped;
    EXPECT(dropped + finished->count.load() == 10);
    EXPECT(owner->unfinished() == 0);
  }  // everything is freed here: nothing may be touched afterwards
}

void roundTrip() {
  Finished finished;
  Owner owner(completed, &finished);
  Queue queue(owner, 0), *queues[] = {&queue};
  Work work(addProgram(16));
  for (bool parked : {false, true}) {
    double best = 1e9, sum = 0;
    const int rounds = parked ? 300 : 3000;
    for (int i = 0; i < rounds; ++i) {
      if (parked) std::this_thread::sleep_for(std::chrono::microseconds(300));
      work.job.done.store(false);
      const int64_t start = nowNanoseconds();
      work.submit(queue);
      Executor::instance().wait(work.job);
      const double each = static_cast<double>(nowNanoseconds() - start);
      awaitCount(finished, i + 1);
      sum += each;
      if (each < best) best = each;
    }
    finished.count.store(0);
    printf("submit and wait, executor %s: best %.0f ns, mean %.0f ns\n", parked ? "parked" : "spinning", best, sum / rounds);
  }
  Executor::instance().close(owner, queues, 1);
}

}  // namespace

int main() {
  runsInOrder();
  givesWayToPriority();
  takesTurns();
  closesInMidWork();
  roundTrip();
  puts("queue ok");
}
