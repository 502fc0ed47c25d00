import java.util.*;

public class Work {
    record Item(String name, int price) {}

    static List<Item> items(int many) {
        List<Item> list = new ArrayList<>();
        for (int number = 0; number < many; number++) list.add(new Item("item-" + number * 7919 % 1000, number % 97));
        return list;
    }

    static int count(List<Item> list) {
        Map<String, Integer> sums = new TreeMap<>();
        for (Item item : list) sums.merge(item.name(), item.price(), Integer::sum);
        return sums.values().stream().mapToInt(sum -> sum % 7).sum();
    }

    static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

    static void turn() {
        int sum = 0;
        while (sum >= 0) sum = (sum + count(items(500)) + fib(15)) & 0xffff;
    }

    public static void main(String[] words) {
        new Thread(Work::turn, "second").start();
        turn();
    }
}
